//! `trireme up --servers 3 --agents 2` with real pods on agents, each machine in a network namespace of its own.
//!
//! Needs root: all of it lives below a network namespace of the test's own thread.

#![allow(clippy::print_stdout, reason = "tests")]

mod chaos;
mod cluster;

use std::time::{Duration, Instant};

use cluster::{AGENTS, Cluster, SERVERS, http};
use rustix::process::Signal;

fn may_run() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("SKIPPED: containers and network namespaces take root");
    }
    root
}

#[test]
fn three_servers_and_two_agents_run_pods_whatever_dies() {
    if !may_run() {
        return;
    }
    let left = cluster::in_a_namespace(|| {
        let cluster = Cluster::start(3, 2, &[]);
        deploy(&cluster);
        pods_reach_one_another_over_machines(&cluster);
        every_server_reaches_every_node(&cluster);
        a_silent_agent_is_out_of_service_and_comes_back(&cluster);
        a_dead_leader_is_no_news_to_pods(&cluster);
        chaos::run(&cluster);
        cluster.stop()
    });
    assert_eq!(left, Vec::<String>::new(), "left behind");
}

#[test]
fn certificates_that_end_are_replaced_before() {
    const LIFE: Duration = Duration::from_secs(30);
    if !may_run() {
        return;
    }
    let left = cluster::in_a_namespace(|| {
        let cluster = Cluster::start(1, 1, &["--cluster-signing-duration=30s"]);
        let since = Instant::now();
        let renewed =
            |cluster: &Cluster| cluster.get("s1", "lease a1 -n kube-node-lease", "{.spec.renewTime}");
        // Past the end of the first certificate, and of its successor: the node beats all the time.
        while since.elapsed() < LIFE * 2 {
            let before = renewed(&cluster);
            cluster.until("a beat", || renewed(&cluster) > before);
            std::thread::sleep(Duration::from_secs(1));
        }
        cluster.until("a ready node", || cluster.is_ready("s1", "a1"));
        cluster.stop()
    });
    assert_eq!(left, Vec::<String>::new(), "left behind");
}

fn deploy(cluster: &Cluster) {
    let file = cluster.machine_dir("objects.yaml");
    std::fs::write(&file, include_str!("objects.yaml")).expect("a file");
    cluster.until("the service account", || {
        cluster.kubectl_at("s1", &["get", "serviceaccount", "default"]).0 == Some(0)
    });
    cluster.run("s1", &["apply", "-f", &file.display().to_string()]);
    cluster.until("four pods", || available(cluster, "s1") == "4");
    for agent in AGENTS {
        assert_eq!(pods_on(cluster, agent).len(), 2, "the pods are spread");
    }
}

fn available(cluster: &Cluster, server: &str) -> String {
    cluster.get(server, "deployment hello", "{.status.availableReplicas}")
}

/// Names and addresses of the pods on a node.
fn pods_on(cluster: &Cluster, node: &str) -> Vec<(String, String)> {
    pods_on_at(cluster, "s1", node)
}

/// From a pod to a pod of the other agent, by address; and to the Service by name, which both agents' pods answer.
fn pods_reach_one_another_over_machines(cluster: &Cluster) {
    for (from, to) in [("a1", "a2"), ("a2", "a1")] {
        let (asking, _) = pods_on(cluster, from).remove(0);
        let (asked, address) = pods_on(cluster, to).remove(0);
        let url = format!("http://{address}:8080/");
        let text = cluster.run("s1", &["exec", &asking, "--", "/bin/trireme", "hello", "--ask", &url]);
        assert!(text.starts_with(&format!("hello from {asked}")), "{from} to {to}: {text}");
        let mut answered = std::collections::BTreeSet::new();
        let address = cluster.get("s1", "service hello", "{.spec.clusterIP}");
        cluster.until("an answer of every pod", || {
            if let Ok(text) = http(&cluster.netns(from), &address, 80) {
                answered.insert(text.split(" to ").next().unwrap_or_default().to_owned());
            }
            answered.len() == 4
        });
        let url = "http://hello.default.svc.cluster.local/";
        let text = cluster.run("s1", &["exec", &asking, "--", "/bin/trireme", "hello", "--ask", url]);
        assert!(text.starts_with("hello from hello-"), "{text}");
    }
}

/// Logs and exec of each agent's pods, whichever server is asked.
fn every_server_reaches_every_node(cluster: &Cluster) {
    for server in SERVERS {
        for agent in AGENTS {
            let (pod, address) = pods_on(cluster, agent).remove(0);
            let url = format!("http://{address}:8080/");
            let text = cluster.run(server, &["exec", &pod, "--", "/bin/trireme", "hello", "--ask", &url]);
            assert!(text.starts_with(&format!("hello from {pod}")), "{server}: {text}");
            cluster.run(server, &["logs", &pod]);
            // An address behind the node, over the same way.
            let path = format!("/api/v1/namespaces/default/pods/{pod}:8080/proxy/");
            let text = cluster.run(server, &["get", "--raw", &path]);
            assert!(text.starts_with(&format!("hello from {pod}")), "{server}: {text}");
        }
    }
}

/// An agent that is stopped like dead is NotReady and out of the endpoints; killed and started again by `up`, it is Ready and
/// its pods ran on.
fn a_silent_agent_is_out_of_service_and_comes_back(cluster: &Cluster) {
    let before = pods_on(cluster, "a2");
    let addresses = |cluster: &Cluster| {
        let path = "{range .items[*].endpoints[?(@.conditions.ready==true)]}{.addresses[0]}{\"\\n\"}{end}";
        cluster.get("s1", "endpointslices -l kubernetes.io/service-name=hello", path)
    };
    assert_eq!(addresses(cluster).lines().count(), 4, "{}", addresses(cluster));
    let since = Instant::now();
    cluster.signal("a2", Signal::STOP);
    cluster.until("a node that is not ready", || !cluster.is_ready("s1", "a2"));
    let not_ready = since.elapsed();
    cluster.until("endpoints without its pods", || {
        let now = addresses(cluster);
        now.lines().count() == 2 && before.iter().all(|(_, address)| !now.lines().any(|line| line == address))
    });
    println!("agent silent: NotReady seen after {not_ready:?}, out of endpoints after {:?}", since.elapsed());
    let since = Instant::now();
    cluster.signal("a2", Signal::KILL);
    cluster.until("the node again", || cluster.is_ready("s1", "a2"));
    cluster.until("its endpoints again", || addresses(cluster).lines().count() == 4);
    println!("agent killed and started again: in service after {:?}", since.elapsed());
    assert_eq!(pods_on(cluster, "a2"), before, "the same pods");
    let path = "{range .items[*]}{.status.containerStatuses[0].restartCount}{end}";
    assert_eq!(cluster.get("s1", "pods -l app=hello", path), "0000", "containers ran on");
}

fn a_dead_leader_is_no_news_to_pods(cluster: &Cluster) {
    let leader = cluster.leader().expect("a leader");
    let other = SERVERS.into_iter().find(|server| *server != leader).expect("three servers");
    let address = cluster.get(other, "service hello", "{.spec.clusterIP}");
    cluster.set_connected(leader, false);
    let since = Instant::now();
    let (mut asked, mut failed) = (0, 0);
    while since.elapsed() < Duration::from_secs(6) {
        for agent in AGENTS {
            asked += 1;
            failed += u32::from(http(&cluster.netns(agent), &address, 80).is_err());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("leader {leader} cut off: {failed} of {asked} requests to the Service failed");
    assert_eq!(failed, 0, "Services need no server");
    for agent in AGENTS {
        cluster.until("the agent at another server", || cluster.is_ready(other, agent));
    }
    let (pod, _) = pods_on_at(cluster, other, "a1").remove(0);
    cluster.run(other, &["logs", &pod]);
    cluster.set_connected(leader, true);
    cluster.signal(leader, Signal::KILL);
    cluster.until("the server again", || cluster.is_ready(leader, "a1"));
}

fn pods_on_at(cluster: &Cluster, server: &str, node: &str) -> Vec<(String, String)> {
    let path = "{range .items[*]}{.metadata.name} {.spec.nodeName} {.status.podIP}{\"\\n\"}{end}";
    let all = cluster.get(server, "pods -l app=hello", path);
    let rows = all.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    rows.filter(|row| row.get(1) == Some(&node)).map(|row| (row[0].to_owned(), row[2].to_owned())).collect()
}
