//! Statuses of pods, as a kubelet writes them (strategic merge patches).

use serde_json::{Value, json};

use crate::pod::{Container, PodView};

/// What a status tells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tells<'a> {
    pub(crate) now: &'a str,
    /// When the containers were started.
    pub(crate) started: &'a str,
    pub(crate) host_ip: &'a str,
    pub(crate) pod_ip: &'a str,
    pub(crate) restarts: u64,
}

fn condition(kind: &str, status: bool, now: &str) -> Value {
    json!({"type": kind, "status": if status { "True" } else { "False" }, "lastProbeTime": null, "lastTransitionTime": now})
}

fn reasoned(kind: &str, reason: &str, message: &str, now: &str) -> Value {
    let mut out = condition(kind, false, now);
    out["reason"] = reason.into();
    out["message"] = message.into();
    out
}

fn statuses(containers: &[Container], state: &Value, ready: bool, tells: Tells<'_>, uid: &str) -> Value {
    let one = |container: &Container| {
        let name = &container.name;
        json!({
            "name": name, "image": container.image, "imageID": format!("hollow://{}", container.image),
            "containerID": format!("hollow://{uid}/{name}"), "ready": ready,
            "started": state.get("running").is_some(), "restartCount": tells.restarts, "state": state, "lastState": {},
        })
    };
    containers.iter().map(one).collect::<Vec<_>>().into()
}

/// It runs, ready or not.
pub(crate) fn running(pod: &PodView, ready: bool, tells: Tells<'_>) -> Value {
    let Tells { now, started, host_ip, pod_ip, .. } = tells;
    let (uid, spec) = (&pod.metadata.uid, &pod.spec);
    let conditions = if ready {
        vec![condition("Ready", true, now), condition("ContainersReady", true, now)]
    } else {
        let names: Vec<&str> = spec.containers.iter().map(|container| container.name.as_str()).collect();
        let message = format!("containers with unready status: [{}]", names.join(" "));
        ["Ready", "ContainersReady"].map(|kind| reasoned(kind, "ContainersNotReady", &message, now)).to_vec()
    };
    let mut all =
        vec![condition("PodReadyToStartContainers", true, started), condition("Initialized", true, started)];
    all.extend(conditions);
    let mut status = json!({
        "phase": "Running", "hostIP": host_ip, "hostIPs": [{"ip": host_ip}], "podIP": pod_ip,
        "podIPs": [{"ip": pod_ip}], "startTime": pod.status.start_time.as_deref().unwrap_or(started), "conditions": all,
        "containerStatuses": statuses(&spec.containers, &json!({"running": {"startedAt": started}}), ready, tells, uid),
    });
    if !spec.init_containers.is_empty() {
        status["initContainerStatuses"] =
            statuses(&spec.init_containers, &terminated(0, tells), true, tells, uid);
    }
    json!({"metadata": {"uid": uid}, "status": status})
}

fn terminated(code: i64, tells: Tells<'_>) -> Value {
    let reason = if code == 0 { "Completed" } else { "Error" };
    json!({"terminated": {"exitCode": code, "reason": reason, "startedAt": tells.started, "finishedAt": tells.now}})
}

/// Its containers have ended for good.
pub(crate) fn finished(pod: &PodView, code: i64, tells: Tells<'_>) -> Value {
    let now = tells.now;
    let (phase, reason) = if code == 0 { ("Succeeded", "PodCompleted") } else { ("Failed", "PodFailed") };
    let conditions = ["Ready", "ContainersReady"].map(|kind| reasoned(kind, reason, "", now));
    json!({
        "metadata": {"uid": pod.metadata.uid},
        "status": {
            "phase": phase, "conditions": conditions,
            "containerStatuses": statuses(&pod.spec.containers, &terminated(code, tells), false, tells, &pod.metadata.uid),
        },
    })
}
