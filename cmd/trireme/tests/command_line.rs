//! The command line against a real cluster: what a user does, and what is said when it cannot be done.

mod support;

use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Cluster, trireme};

/// How long a change may take to be seen by every machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The machines that answer, and those that do not.
fn machines(cluster: &Cluster) -> (Vec<String>, Vec<String>) {
    let output = cluster.run(&["actors", "-o", "json"]);
    let trees: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let name = |tree: &Value| tree["machine"].as_str().unwrap_or_default().to_owned();
    let (up, down): (Vec<&Value>, Vec<&Value>) =
        trees.as_array().into_iter().flatten().partition(|tree| tree["error"].is_null());
    (up.into_iter().map(name).collect(), down.into_iter().map(name).collect())
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_cluster_can_be_looked_at_changed_and_started_again() {
    let cluster = Cluster::start(2, 1);
    assert_eq!(machines(&cluster), (vec!["server/s1".into(), "server/s2".into(), "node/a1".into()], vec![]));

    let table = text(&cluster.run(&["actors"]).stdout);
    for wanted in ["/server/s1", "/node/a1", "cluster", "accept", "connected", "RESTARTS"] {
        assert!(table.contains(wanted), "{wanted} is not in:\n{table}");
    }
    let part = text(&cluster.run(&["actors", "/server/s2/bus"]).stdout);
    assert!(part.contains("accept") && !part.contains("renewal"), "{part}");
    let metrics = text(&cluster.run(&["actors", "-o", "prometheus"]).stdout);
    assert!(metrics.contains("trireme_actor_handled_total{path=\"/server/s1/cluster\""), "{metrics}");

    let token = text(&cluster.run(&["token", "create", "--role", "agent"]).stdout);
    assert!(token.starts_with("T1") && token.contains("::"), "{token}");
    let id = token.rsplit("::").next().and_then(|rest| rest.split('.').next()).unwrap().to_owned();
    assert!(text(&cluster.run(&["token", "list"]).stdout).contains(&id));
    assert!(cluster.run(&["token", "revoke", &id]).status.success());
    assert!(!text(&cluster.run(&["token", "list"]).stdout).contains(&id));

    // A machine that dies is started again.
    let before = cluster.machines();
    let (_, pid) = before.iter().find(|(name, _)| name == "s2").unwrap();
    let pid = rustix::process::Pid::from_raw(i32::try_from(*pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    until("s2 runs again under another process id", || {
        cluster.machines().iter().any(|(name, now)| name == "s2" && !before.contains(&(name.clone(), *now)))
    });
    until("everybody sees s2 again", || {
        machines(&cluster) == (vec!["server/s1".into(), "server/s2".into(), "node/a1".into()], vec![])
    });

    // A machine that is revoked is out.
    let revoked = cluster.run(&["revoke", "node/a1"]);
    assert!(revoked.status.success(), "{}", text(&revoked.stderr));
    until("a1 is gone", || machines(&cluster).0 == ["server/s1", "server/s2"]);
    let again = cluster.run(&["revoke", "node/a1"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("no machine node/a1 belongs"), "{}", text(&again.stderr));
    cluster.stop();
}

#[test]
fn a_cluster_comes_back_from_its_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start_at(folder.path(), 3, 0, &[]);
    let token = text(&cluster.run(&["token", "create"]).stdout);
    let id = token.rsplit("::").next().and_then(|rest| rest.split('.').next()).unwrap().to_owned();
    cluster.stop();
    let cluster = Cluster::start_at(folder.path(), 3, 0, &[]);
    assert_eq!(machines(&cluster).0, ["server/s1", "server/s2", "server/s3"]);
    assert!(text(&cluster.run(&["token", "list"]).stdout).contains(&id), "tokens survive");
    cluster.stop();
}

#[test]
fn machines_do_not_outlive_the_one_who_started_them() {
    let cluster = Cluster::start(2, 0);
    let machines: Vec<u32> = cluster.machines().into_iter().map(|(_, pid)| pid).collect();
    assert_eq!(machines.len(), 2);
    drop(cluster); // kill -9
    until("the machines have ended", || {
        machines.iter().all(|pid| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            !status.contains("trireme") || status.contains("State:\tZ")
        })
    });
}

#[test]
fn what_cannot_be_done_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| trireme(folder.path()).args(arguments).output().unwrap();

    let usage = run(&["up", "--runtime", "cri:/run/containerd/containerd.sock"]);
    assert_eq!(usage.status.code(), Some(2), "what is not built is wrong usage");
    assert!(text(&usage.stderr).contains("--runtime"), "{}", text(&usage.stderr));

    let nothing = run(&["actors"]);
    assert_eq!(nothing.status.code(), Some(1));
    assert!(text(&nothing.stderr).contains("no cluster was started"), "{}", text(&nothing.stderr));

    let token = run(&["server", "--join", "127.0.0.1:9", "--token", "T1abc"]);
    assert_eq!(token.status.code(), Some(1));
    assert!(text(&token.stderr).contains("64 hex digits"), "{}", text(&token.stderr));

    let agent = run(&["agent"]);
    assert!(text(&agent.stderr).contains("give --join and --token"), "{}", text(&agent.stderr));

    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap();
    let busy = run(&["server", "--node-name", "s1", "--listen", &port.to_string()]);
    assert_eq!(busy.status.code(), Some(1));
    assert!(text(&busy.stderr).contains("in use"), "{}", text(&busy.stderr));

    let cluster = Cluster::start(1, 0);
    let second = trireme(cluster.folder())
        .args(["server", "--node-name", "s1", "--listen=127.0.0.1:0"])
        .output()
        .unwrap();
    assert!(text(&second.stderr).contains("in use by another trireme process"), "{}", text(&second.stderr));
    cluster.stop();
}

#[test]
fn logs_name_the_actor_and_the_request() {
    let folder = tempfile::tempdir().unwrap();
    let cluster =
        Cluster::start_at(folder.path(), 2, 0, &["--log=info,trireme_bus=debug,trireme_process=debug"]);
    cluster.run(&["actors"]);
    cluster.stop();
    let log = support::log_of(folder.path(), "s1");
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).expect("JSON, as this is no terminal")).collect();
    let with = |field: &str, start: &str| {
        lines
            .iter()
            .filter(|line| line["span"][field].to_string().trim_matches('"').starts_with(start))
            .count()
    };
    assert!(with("actor", "/server/s1/") > 0, "no line names its actor:\n{log}");
    assert!(with("request", "") > 0 && with("call", "inspect.tree") > 0, "no line names its request:\n{log}");
}

#[test]
fn certificates_are_renewed_without_a_connection_lost() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start_at(folder.path(), 2, 1, &["--cluster-signing-duration=20s"]);
    let started = Instant::now();
    let count = |machine: &str, what: &str| support::log_of(folder.path(), machine).matches(what).count();
    let all = ["s1", "s2", "a1"];
    let links = || all.map(|machine| count(machine, "session established"));
    until("every machine has renewed its certificate", || {
        all.iter().all(|m| count(m, "certificate renewed") >= 1)
    });
    // The sessions of `trireme up` itself are over by now.
    let before = links();
    until("every machine has renewed it again", || all.iter().all(|m| count(m, "certificate renewed") >= 3));
    assert_eq!(links(), before, "a renewal made somebody connect anew");
    // The first certificates have ended; new handshakes go by the renewed ones.
    std::thread::sleep(Duration::from_secs(21).saturating_sub(started.elapsed()));
    let everybody = vec!["server/s1".to_owned(), "server/s2".to_owned(), "node/a1".to_owned()];
    assert_eq!(machines(&cluster), (everybody, vec![]));
    cluster.stop();
}
