//! Pods that are kept running: rows C1, C4, C5, C9, C18, J3.

use std::process::{Child, Stdio};

use crate::machine::{Machine, with};

/// What a look at pods gives: name, image, ready, deletion.
const LOOK: &str = "{.metadata.name} {.spec.containers[0].image} \
    {.status.conditions[?(@.type==\"Ready\")].status} {.metadata.deletionTimestamp}";

#[test]
fn sets_of_pods_are_kept_and_rolled() {
    with("sets", &[], |machine| {
        machine.apply(&machine.filled(include_str!("sets.yaml")));
        machine.until_running(&["victim"]);
        c18_a_killed_container_comes_again_with_back_off(machine);
        c4_a_parallel_set_does_not_wait(machine);
        c1_a_rollout_keeps_its_bounds(machine);
        c5_an_ordered_set_rolls_from_the_last_to_the_first(machine);
        j3_rollouts_and_scale_of_a_stateful_set(machine);
        let extra = c9_a_daemon_set_has_a_pod_on_each_node(machine);
        c18_pods_of_a_lost_node_come_up_elsewhere(machine, extra);
    });
}

/// The rows of [`LOOK`] of pods that are not being deleted.
fn pods(machine: &Machine, selector: &str) -> Vec<(String, String, bool)> {
    let all = machine.all("pods", selector, LOOK);
    let words = all.iter().map(|line| line.split(' ').collect::<Vec<_>>());
    words
        .filter(|words| words.get(3).is_none_or(|deleted| deleted.is_empty()))
        .map(|words| (words[0].to_owned(), words[1].to_owned(), words.get(2) == Some(&"True")))
        .collect()
}

fn ready(machine: &Machine, selector: &str) -> usize {
    pods(machine, selector).iter().filter(|(_, _, ready)| *ready).count()
}

fn c1_a_rollout_keeps_its_bounds(machine: &Machine) {
    machine.until("three pods", || ready(machine, "app=rolled") == 3);
    machine.run_kubectl(&["set", "image", "deployment/rolled", "c=tools:2"]);
    machine.until("the rollout", || {
        let pods = pods(machine, "app=rolled");
        let ready = pods.iter().filter(|(_, _, ready)| *ready).count();
        assert!(pods.len() <= 4 && ready >= 3, "more than maxSurge or maxUnavailable allow: {pods:?}");
        pods.len() == 3 && pods.iter().all(|(_, image, ready)| *ready && image == "tools:2")
    });
    machine.run_kubectl(&["rollout", "status", "deployment/rolled", "--timeout=60s"]);
    assert_eq!(machine.all("replicasets", "app=rolled", "{.status.replicas}").len(), 2);
}

fn c4_a_parallel_set_does_not_wait(machine: &Machine) {
    let uid = |name: &str| machine.get(&format!("pod/{name}"), "{.metadata.uid}");
    machine.until("pods beside one that is not ready", || ready(machine, "app=burst") == 4);
    let burst = pods(machine, "app=burst");
    assert_eq!((burst.len(), burst[0].2), (5, false), "burst-0 is not ready: {burst:?}");
    let before = [uid("burst-0"), uid("burst-4")];
    machine.run_kubectl(&["delete", "pod", "burst-0", "burst-4", "--wait=false"]);
    machine.until("both again", || {
        let now = [uid("burst-0"), uid("burst-4")];
        now.iter().zip(&before).all(|(now, before)| !now.is_empty() && now != before)
    });
    machine.until("burst-4, while burst-0 is not ready", || ready(machine, "app=burst") == 4);
    machine.run_kubectl(&["delete", "statefulset", "burst", "--wait=false"]);
    // The ordered one waits for each.
    machine.until_running(&["ordered-0"]);
    assert_eq!(pods(machine, "app=ordered").len(), 1, "ordered-1 waits for ordered-0");
    machine.exec("ordered-0", "echo > /ok");
    machine.until_running(&["ordered-1"]);
    assert_eq!(pods(machine, "app=ordered").len(), 2, "ordered-2 waits for ordered-1");
    machine.exec("ordered-1", "echo > /ok");
    machine.until_running(&["ordered-2"]);
    machine.exec("ordered-2", "echo > /ok");
    machine.until("three ready pods", || ready(machine, "app=ordered") == 3);
}

fn c5_an_ordered_set_rolls_from_the_last_to_the_first(machine: &Machine) {
    let revision = |which: &str| machine.get("statefulset/ordered", &format!("{{.status.{which}Revision}}"));
    let old = revision("current");
    let patch = r#"{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"tools:2","env":[{"name":"OPEN","value":"1"}]}]}}}}"#;
    machine.run_kubectl(&["patch", "statefulset", "ordered", "-p", patch]);
    machine.until("the update's revision", || revision("update") != old);
    let mut seen = Vec::new();
    machine.until("the rollout", || {
        let pods = pods(machine, "app=ordered");
        let new: Vec<&str> =
            pods.iter().filter(|(_, image, _)| image == "tools:2").map(|(name, ..)| name.as_str()).collect();
        // A suffix of the ordinals, and all but the first of them ready.
        for (at, name) in new.iter().rev().enumerate() {
            assert_eq!(*name, format!("ordered-{}", 2 - at), "out of order: {pods:?}");
        }
        let waiting = pods.iter().filter(|(_, image, ready)| image == "tools:2" && !ready);
        assert!(waiting.map(|(name, ..)| name.as_str()).all(|name| name == new[0]), "not ready: {pods:?}");
        if seen.last() != Some(&new.len()) {
            seen.push(new.len());
        }
        pods.len() == 3 && new.len() == 3 && pods.iter().all(|(.., ready)| *ready)
    });
    machine.until("one revision", || revision("current") == revision("update") && revision("current") != old);
    println!("C5: updated pods seen {seen:?}");
}

fn j3_rollouts_and_scale_of_a_stateful_set(machine: &Machine) {
    machine.run_kubectl(&["rollout", "status", "sts/ordered", "--timeout=60s"]);
    let history = machine.run_kubectl(&["rollout", "history", "sts/ordered"]);
    let revisions: Vec<&str> = history.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(revisions[1..], ["REVISION", "1", "2"], "{history}");
    machine.run_kubectl(&["scale", "sts/ordered", "--replicas=1"]);
    machine.until("one pod", || pods(machine, "app=ordered").len() == 1);
    assert_eq!(machine.kubectl(&["get", "pod", "ordered-0"]).0, Some(0), "the last ones went");
    machine.run_kubectl(&["rollout", "undo", "sts/ordered"]);
    machine.until("the old image", || {
        pods(machine, "app=ordered").iter().all(|(_, image, _)| image == "tools:1")
    });
    machine.run_kubectl(&["delete", "sts", "ordered", "--wait=false"]);
}

/// A machine that joins and can be lost: a node that only pretends to run pods, in a process of its own.
struct Extra(Child);

impl Drop for Extra {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn c9_a_daemon_set_has_a_pod_on_each_node(machine: &Machine) -> Extra {
    let file = machine.path("out").join("daemon");
    machine.until("the agent of this node", || {
        std::fs::read_to_string(&file).is_ok_and(|text| text == "here\n")
    });
    let on = |selector: &str| {
        let mut nodes = machine.all("pods", selector, "{.spec.nodeName}");
        nodes.sort();
        nodes
    };
    assert_eq!(on("app=picky"), Vec::<String>::new(), "no node has the label");
    let mut command = machine.trireme();
    command.args(["hollow", "--nodes=1", "--name-prefix=extra-", "--lease-every=1s", "--kubeconfig"]);
    let child = command.arg(machine.path("kubeconfig")).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let extra = Extra(child.expect("trireme starts"));
    let both = ["extra-0".to_owned(), machine.node.clone()];
    machine.until("a pod on the new node", || on("app=agent") == both);
    machine.run_kubectl(&["label", "node", "extra-0", "disk=fast"]);
    machine.until("a pod where the label is", || on("app=picky") == ["extra-0"]);
    machine.run_kubectl(&["taint", "node", "extra-0", "private=yes:NoExecute"]);
    machine.until("no pod where the taint is", || on("app=picky").is_empty() && on("app=agent") == both[1..]);
    machine.run_kubectl(&["taint", "node", "extra-0", "private-"]);
    machine.until("a pod again", || on("app=agent") == both);
    extra
}

fn c18_pods_of_a_lost_node_come_up_elsewhere(machine: &Machine, extra: Extra) {
    machine.run_kubectl(&["delete", "pod", "-l", "app=moves", "--wait=false"]);
    let on = || {
        pods(machine, "app=moves")
            .first()
            .map(|(name, ..)| machine.get(&format!("pod/{name}"), "{.spec.nodeName}"))
    };
    machine.until("the pod on the new node", || on().as_deref() == Some("extra-0"));
    drop(extra);
    let limit = std::time::Duration::from_secs(120);
    machine.until_within("the pod on the node that is left", limit, || {
        on().as_deref() == Some(machine.node.as_str()) && ready(machine, "app=moves") == 1
    });
}

fn c18_a_killed_container_comes_again_with_back_off(machine: &Machine) {
    let status = |path: &str| machine.get("pod/victim", &format!("{{.status.containerStatuses[0].{path}}}"));
    for (count, state) in [("1", "ready"), ("2", "state.waiting.reason")] {
        machine.until("its process", || machine.processes_of("victim").len() == 1);
        let process = machine.processes_of("victim")[0];
        let pid = rustix::process::Pid::from_raw(process).expect("a pid");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it lives");
        let wanted = if state == "ready" { "true" } else { "CrashLoopBackOff" };
        machine.until("what follows", || {
            status(state) == wanted && status("lastState.terminated.exitCode") == "137"
        });
        if state == "ready" {
            assert_eq!(status("restartCount"), count);
        }
        let (_, log, _) = machine.kubectl(&["logs", "victim", "--previous"]);
        assert_eq!(log, "up\n");
    }
}
