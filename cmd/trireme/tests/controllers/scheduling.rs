//! The scheduler on the real API: gates, extenders, profiles, affinity, extended resources, zones.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::extender::{Answer, Extender};
use crate::ground::{Ground, NODES, PODS, apps, condition, name, node, pod, template};
use crate::kit::until;
use crate::run;

const CONFIG: &str = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n";

fn at(pod: &str) -> String {
    format!("{PODS}/{pod}")
}

async fn until_bound(ground: &Ground, pod: &str) -> Value {
    ground.until_object(&format!("{pod} is bound"), &at(pod), |pod| !node(pod).is_empty()).await
}

/// Until the scheduler says that a pod has no place; gives what it says.
async fn until_unschedulable(ground: &Ground, pod: &str) -> String {
    let pod = ground
        .until_object(&format!("{pod} has no place"), &at(pod), |pod| {
            condition(pod, "PodScheduled")["reason"] == "Unschedulable"
        })
        .await;
    assert_eq!(condition(&pod, "PodScheduled")["status"], "False");
    let event = ground.until_event(name(&pod), "FailedScheduling").await;
    let said = condition(&pod, "PodScheduled")["message"].as_str().unwrap_or_default().to_owned();
    assert_eq!(event, said, "the event says what the condition says");
    said
}

async fn metrics(ground: &Ground) -> String {
    let request = http::Request::get("/metrics").body(Vec::new()).expect("a request");
    ground.client.request_text(request).await.expect("metrics")
}

#[test]
fn a_gated_pod_waits_and_says_so_until_the_last_gate_is_gone() {
    run(async || {
        let ground = Ground::start(1).await;
        let gates = json!({"schedulingGates": [{"name": "example.com/foo"}, {"name": "example.com/bar"}]});
        ground.post(PODS, pod("gated", gates)).await;
        let gated = ground
            .until_object("it says that it is gated", &at("gated"), |pod| {
                condition(pod, "PodScheduled")["reason"] == "SchedulingGated"
            })
            .await;
        let said = condition(&gated, "PodScheduled");
        assert_eq!(said["status"], "False");
        assert_eq!(said["message"], "Scheduling is blocked due to non-empty scheduling gates");
        if let Some(output) = ground.kubectl(&["get", "pod", "gated", "--no-headers"]) {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(text.contains("0/1") && text.contains("SchedulingGated"), "{text}");
        }
        until("one gated pod is counted", || async {
            metrics(&ground).await.contains("scheduler_pending_pods{queue=\"gated\"} 1").then_some(())
        })
        .await;
        ground.merge(&at("gated"), json!({"spec": {"schedulingGates": [{"name": "example.com/bar"}]}})).await;
        // Another pod that is bound meanwhile shows that the scheduler has looked.
        ground.post(PODS, pod("free", json!({}))).await;
        until_bound(&ground, "free").await;
        assert_eq!(node(&ground.get(&at("gated")).await.expect("it is there")), "");
        let none = json!({"spec": {"schedulingGates": null}});
        ground.merge(&at("gated"), none).await;
        let bound = until_bound(&ground, "gated").await;
        assert_eq!(node(&bound), "hollow-0");
        until("no gated pod is counted", || async {
            metrics(&ground).await.contains("scheduler_pending_pods{queue=\"gated\"} 0").then_some(())
        })
        .await;
        assert!(metrics(&ground).await.contains("scheduler_pending_pods{queue=\"unschedulable\"} 0"));
    });
}

#[test]
fn gates_are_unique_and_cannot_be_added() {
    run(async || {
        let ground = Ground::start(1).await;
        let twice = pod("twice", json!({"schedulingGates": [{"name": "a.io/x"}, {"name": "a.io/x"}]}));
        let refused = ground.try_post(PODS, &twice).await.expect_err("a gate is named twice");
        assert_eq!(refused.code, 422);
        assert!(refused.message.contains("spec.schedulingGates[1]: Duplicate value"), "{}", refused.message);
        ground.post(PODS, pod("one", json!({"schedulingGates": [{"name": "a.io/x"}]}))).await;
        let more = json!({"spec": {"schedulingGates": [{"name": "a.io/x"}, {"name": "a.io/y"}]}});
        let refused = ground.try_merge(&at("one"), &more).await.expect_err("a gate is added");
        assert_eq!(refused.code, 422);
        assert!(refused.message.contains("only deletion is allowed"), "{}", refused.message);
        // What is gated costs no attempts.
        let explained = ground.cluster.run(&["explain", "pod", "one"]);
        let text = String::from_utf8_lossy(&explained.stdout).into_owned();
        assert!(!text.contains("FailedScheduling"), "{text}");
        let events = ground.list(crate::ground::EVENTS).await;
        assert!(events.iter().all(|event| event["reason"] != "FailedScheduling"));
    });
}

#[test]
fn an_extender_binds_and_its_errors_are_told_and_tried_again() {
    run(async || {
        let extender = Extender::start().await;
        let config = format!(
            "{CONFIG}extenders:\n- urlPrefix: http://{}/x\n  bindVerb: bind\n  managedResources:\n  - name: example.com/managed\n    \
             ignoredByScheduler: true\n",
            extender.address()
        );
        let ground = Ground::start_with(1, Some(config)).await;
        extender.serve(ground.client.clone());
        ground.post(PODS, pod("plain", json!({}))).await;
        until_bound(&ground, "plain").await;
        assert!(extender.asked().is_empty(), "it is not asked about pods that want nothing of it");
        extender.answer(Answer::Error("the moon is full"));
        // No node has the resource: the scheduler leaves it to the extender.
        let managed = json!({"containers": [{"name": "c", "image": "i:1",
            "resources": {"requests": {"example.com/managed": "1"}, "limits": {"example.com/managed": "1"}}}]});
        let made = ground.post(PODS, pod("managed", managed)).await;
        let said = ground.until_event("managed", "FailedScheduling").await;
        assert!(said.contains("the moon is full"), "{said}");
        extender.answer(Answer::Bind);
        let bound = until_bound(&ground, "managed").await;
        assert_eq!(node(&bound), "hollow-0");
        let asked = extender.asked();
        assert!(asked.len() >= 2, "it was tried again: {asked:?}");
        let uid = &made["metadata"]["uid"];
        let wanted =
            json!({"PodName": "managed", "PodNamespace": "default", "PodUID": uid, "Node": "hollow-0"});
        for one in &asked {
            assert_eq!(*one, wanted);
        }
    });
}

#[test]
fn two_extenders_that_bind_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("scheduler.yaml");
    let two = "- {urlPrefix: 'http://127.0.0.1:1/a', bindVerb: b}\n- {urlPrefix: 'http://127.0.0.1:1/b', bindVerb: b}\n";
    std::fs::write(&file, format!("{CONFIG}extenders:\n{two}")).expect("a file");
    let output = crate::support::trireme(&folder.path().join("data"))
        .args(["up", "--listen=127.0.0.1:0", "--components=api,scheduler"])
        .arg(format!("--scheduler-config={}", file.display()))
        .output()
        .expect("trireme runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("extender") && said.contains("bind"), "{said}");
}

#[test]
fn pods_of_another_scheduler_are_left_to_it() {
    run(async || {
        let ground = Ground::start(1).await;
        ground.post(PODS, pod("theirs", json!({"schedulerName": "other"}))).await;
        ground.post(PODS, pod("ours", json!({}))).await;
        until_bound(&ground, "ours").await;
        let theirs = ground.get(&at("theirs")).await.expect("it is there");
        assert_eq!((node(&theirs), condition(&theirs, "PodScheduled").is_null()), ("", true));
        // The other one is a client like any.
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding", "metadata": {"name": "theirs"},
            "target": {"apiVersion": "v1", "kind": "Node", "name": "hollow-0"},
        });
        ground.post(&format!("{PODS}/theirs/binding"), binding).await;
        until_bound(&ground, "theirs").await;

        let profiles = "profiles:\n- schedulerName: default-scheduler\n- schedulerName: other\n";
        let ground = Ground::start_with(1, Some(format!("{CONFIG}{profiles}"))).await;
        ground.post(PODS, pod("theirs", json!({"schedulerName": "other"}))).await;
        until_bound(&ground, "theirs").await;
        let events = until("the profile tells under its name", || async {
            let events = ground.list(crate::ground::EVENTS).await;
            events.into_iter().find(|event| event["reason"] == "Scheduled")
        })
        .await;
        let component = [&events["source"]["component"], &events["reportingComponent"]];
        assert!(component.iter().any(|name| **name == "other"), "{events}");
    });
}

#[test]
fn a_nomination_ends_with_the_binding() {
    run(async || {
        let ground = Ground::start(2).await;
        ground.post(PODS, pod("theirs", json!({"schedulerName": "other"}))).await;
        let nominated = json!({"status": {"nominatedNodeName": "hollow-0"}});
        let there = ground.merge(&format!("{PODS}/theirs/status"), nominated).await;
        assert_eq!(there["status"]["nominatedNodeName"], "hollow-0");
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding", "metadata": {"name": "theirs"},
            "target": {"apiVersion": "v1", "kind": "Node", "name": "hollow-1"},
        });
        ground.post(&format!("{PODS}/theirs/binding"), binding).await;
        let bound = until_bound(&ground, "theirs").await;
        assert_eq!(node(&bound), "hollow-1");
        assert!(bound["status"]["nominatedNodeName"].is_null(), "{bound}");
    });
}

#[test]
fn affinity_places_pods_and_says_why_it_cannot() {
    run(async || {
        let ground = Ground::start(2).await;
        ground.merge(&format!("{NODES}/hollow-1"), json!({"metadata": {"labels": {"disk": "ssd"}}})).await;
        let to = |key: &str, value: &str| {
            json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": key, "operator": "In", "values": [value]}]}]}}}})
        };
        ground.post(PODS, pod("fast", to("disk", "ssd"))).await;
        assert_eq!(node(&until_bound(&ground, "fast").await), "hollow-1");
        ground.post(PODS, pod("nowhere", to("disk", "tape"))).await;
        let said = until_unschedulable(&ground, "nowhere").await;
        assert!(
            said.starts_with("0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector."),
            "{said}"
        );
        let preferred = json!({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{
            "weight": 100, "preference": {"matchExpressions": [{"key": "disk", "operator": "Exists"}]}}]}}});
        ground.post(PODS, pod("rather", preferred)).await;
        assert_eq!(node(&until_bound(&ground, "rather").await), "hollow-1");
        // Beside a pod, and away from one's own kind.
        let term = |app: &str| json!([{"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": "kubernetes.io/hostname"}]);
        let beside = json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": term("fast")}}});
        ground.post(PODS, pod("beside", beside)).await;
        assert_eq!(node(&until_bound(&ground, "beside").await), "hollow-1");
        let mut apart = template("apart", "i:1", json!({}));
        apart["spec"]["affinity"] =
            json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": term("apart")}});
        let set = json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "apart"},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "apart"}}, "template": apart},
        });
        ground.post(&apps("replicasets"), set).await;
        let left = until("two are placed and one waits", || async {
            let pods = ground.pods("app=apart").await;
            let (placed, left): (Vec<Value>, Vec<Value>) =
                pods.into_iter().partition(|pod| !node(pod).is_empty());
            (placed.len() == 2 && left.len() == 1).then(|| {
                assert_ne!(node(&placed[0]), node(&placed[1]));
                name(&left[0]).to_owned()
            })
        })
        .await;
        let said = until_unschedulable(&ground, &left).await;
        assert!(said.contains("2 node(s) didn't match pod anti-affinity rules"), "{said}");
    });
}

#[test]
fn an_extended_resource_is_counted_in_whole_pieces() {
    run(async || {
        let ground = Ground::start(1).await;
        let status = format!("{NODES}/hollow-0/status");
        let three = json!({"example.com/dongle": "3"});
        ground.merge(&status, json!({"status": {"capacity": three, "allocatable": three}})).await;
        let wants = |count: &str| {
            json!({"containers": [{"name": "c", "image": "i:1", "resources": {
                "limits": {"example.com/dongle": count}, "requests": {"example.com/dongle": count}}}]})
        };
        for name in ["a", "b", "c"] {
            ground.post(PODS, pod(name, wants("1"))).await;
            until_bound(&ground, name).await;
        }
        ground.post(PODS, pod("d", wants("1"))).await;
        let said = until_unschedulable(&ground, "d").await;
        assert!(said.starts_with("0/1 nodes are available: 1 Insufficient example.com/dongle."), "{said}");
        let refused = ground.try_post(PODS, &pod("half", wants("500m"))).await.expect_err("half a dongle");
        assert_eq!(refused.code, 422);
        assert!(refused.message.contains("must be an integer"), "{}", refused.message);
        ground.delete(&at("a")).await;
        until_bound(&ground, "d").await;
    });
}

#[test]
fn opaque_integer_resources_are_no_resources() {
    run(async || {
        let ground = Ground::start(1).await;
        let name = "pod.alpha.kubernetes.io/opaque-int-resource-x";
        let spec = json!({"containers": [{"name": "c", "image": "i:1", "resources": {
            "limits": {name: "1"}, "requests": {name: "1"}}}]});
        ground.post(PODS, pod("old", spec)).await;
        let said = until_unschedulable(&ground, "old").await;
        assert!(said.starts_with(&format!("0/1 nodes are available: 1 Insufficient {name}.")), "{said}");
    });
}

#[test]
fn replicas_spread_over_zones_and_a_zonal_volume_keeps_its_pod() {
    run(async || {
        let ground = Ground::start(4).await;
        for number in 0..4 {
            let zone = json!({"topology.kubernetes.io/zone": format!("z{}", number % 2)});
            ground.merge(&format!("{NODES}/hollow-{number}"), json!({"metadata": {"labels": zone}})).await;
        }
        let mut spread = template("spread", "i:1", json!({}));
        spread["spec"]["topologySpreadConstraints"] = json!([{
            "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "spread"}},
        }]);
        let set = json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "spread"},
            "spec": {"replicas": 6, "selector": {"matchLabels": {"app": "spread"}}, "template": spread},
        });
        ground.post(&apps("replicasets"), set).await;
        let pods = ground.until_ready("app=spread", 6).await;
        let mut zones: BTreeMap<u32, usize> = BTreeMap::new();
        for pod in &pods {
            let number: u32 = node(pod).trim_start_matches("hollow-").parse().expect("a number");
            *zones.entry(number % 2).or_default() += 1;
        }
        assert_eq!(zones, BTreeMap::from([(0, 3), (1, 3)]));

        let claim = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data", "annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
            "spec": {
                "accessModes": ["ReadWriteOnce"], "volumeName": "zonal", "storageClassName": "",
                "resources": {"requests": {"storage": "1Gi"}},
            },
        });
        let claim = ground.post("/api/v1/namespaces/default/persistentvolumeclaims", claim).await;
        let volume = json!({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "zonal"},
            "spec": {
                "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/data"},
                "claimRef": {"kind": "PersistentVolumeClaim", "namespace": "default", "name": "data", "uid": claim["metadata"]["uid"]},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                    {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["z1"]}]}]}},
            },
        });
        ground.post("/api/v1/persistentvolumes", volume).await;
        ground.merge("/api/v1/persistentvolumes/zonal/status", json!({"status": {"phase": "Bound"}})).await;
        let bound = json!({"status": {"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}}});
        ground.merge("/api/v1/namespaces/default/persistentvolumeclaims/data/status", bound).await;
        let volumes = json!({"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]});
        for name in ["keeper-a", "keeper-b", "keeper-c"] {
            ground.post(PODS, pod(name, volumes.clone())).await;
            let placed = until_bound(&ground, name).await;
            assert!(matches!(node(&placed), "hollow-1" | "hollow-3"), "{name} is on {}", node(&placed));
        }
    });
}
