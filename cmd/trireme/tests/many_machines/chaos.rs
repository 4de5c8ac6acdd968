//! Machines die and are cut off at random, while clients write through the API and ask a Service.
//!
//! `TRIREME_CHAOS_SECONDS` says for how long; `TRIREME_CHAOS_SEED` repeats the same order of faults.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use rustix::process::Signal;

use crate::cluster::{AGENTS, Cluster, LIMIT, SERVERS, http};

/// How long, unless somebody says otherwise.
const SECONDS: u64 = 30;
/// How long a cut or the pause after a fault lasts.
const FAULT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_secs(8);
/// How long one write may take.
const WRITE_LIMIT: Duration = Duration::from_secs(3);

pub(crate) fn run(cluster: &Cluster) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let length = Duration::from_secs(number("TRIREME_CHAOS_SECONDS").unwrap_or(SECONDS));
    let mut seed = number("TRIREME_CHAOS_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("chaos: {length:?}, seed {seed}");
    let over = AtomicBool::new(false);
    let address = cluster.get("s1", "service hello", "{.spec.clusterIP}");
    let (written, asked) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(cluster, &over));
        let asker = scope.spawn(|| ask(cluster, &address, &over));
        let since = Instant::now();
        let mut faults = 0;
        while since.elapsed() < length {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let machines: Vec<&str> = SERVERS.into_iter().chain(AGENTS).collect();
            let machine = machines[usize::try_from(seed >> 33).expect("31 bits") % machines.len()];
            if seed >> 62 & 1 == 0 {
                println!("chaos: {:?} kill {machine}", since.elapsed());
                cluster.signal(machine, Signal::KILL);
            } else {
                println!("chaos: {:?} cut {machine}", since.elapsed());
                cluster.set_connected(machine, false);
                std::thread::sleep(FAULT);
                cluster.set_connected(machine, true);
            }
            faults += 1;
            std::thread::sleep(PAUSE);
        }
        over.store(true, Ordering::SeqCst);
        println!("chaos: {faults} faults");
        (writer.join().expect("the writer"), asker.join().expect("the asker"))
    });
    println!("chaos: Service {asked}");
    println!(
        "chaos: {} writes acknowledged, {} attempts failed, longest gap {:?}",
        written.acknowledged.len(),
        written.failed,
        written.longest_gap
    );
    assert!(!written.acknowledged.is_empty(), "something was written");
    let since = Instant::now();
    for server in SERVERS {
        for agent in AGENTS {
            cluster.until("a ready node", || cluster.is_ready(server, agent));
        }
        cluster.until("four pods", || {
            cluster.get(server, "deployment hello", "{.status.availableReplicas}") == "4"
        });
    }
    println!("chaos: converged after {:?}", since.elapsed());
    for server in SERVERS {
        let there = list(cluster, server);
        let lost: Vec<&String> =
            written.acknowledged.iter().filter(|name| !there.contains_key(*name)).collect();
        assert!(lost.is_empty(), "{server} lost acknowledged writes: {lost:?}");
    }
}

struct Written {
    acknowledged: Vec<String>,
    failed: u64,
    longest_gap: Duration,
}

/// Each ConfigMap is tried at one server after the other until one has it.
fn write(cluster: &Cluster, over: &AtomicBool) -> Written {
    let mut written = Written { acknowledged: Vec::new(), failed: 0, longest_gap: Duration::ZERO };
    let runtime = runtime();
    let clients: Vec<Client> =
        SERVERS.iter().map(|server| runtime.block_on(client(cluster, server))).collect();
    let (mut at, mut last) = (0, Instant::now());
    for number in 0_u64.. {
        let name = format!("chaos-{number}");
        let object: ConfigMap =
            serde_json::from_value(serde_json::json!({"metadata": {"name": name}})).expect("a ConfigMap");
        loop {
            if over.load(Ordering::SeqCst) {
                return written;
            }
            let api: Api<ConfigMap> = Api::namespaced(clients[at % clients.len()].clone(), "default");
            let outcome = runtime.block_on(async {
                tokio::time::timeout(WRITE_LIMIT, api.create(&PostParams::default(), &object)).await
            });
            match outcome {
                // There already: an earlier attempt was carried out and its answer lost.
                Ok(Ok(_)) => break,
                Ok(Err(kube::Error::Api(status))) if status.code == 409 => break,
                _ => {
                    written.failed += 1;
                    at += 1;
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
        }
        written.longest_gap = written.longest_gap.max(last.elapsed());
        last = Instant::now();
        written.acknowledged.push(name);
        std::thread::sleep(Duration::from_millis(10));
    }
    written
}

/// Asks the Service from both agents in turn; what failed, and for how long at most in a row, for each.
fn ask(cluster: &Cluster, address: &str, over: &AtomicBool) -> String {
    let mut told = BTreeMap::new();
    while !over.load(Ordering::SeqCst) {
        for agent in AGENTS {
            let (asked, failed, since, longest) =
                told.entry(agent).or_insert((0_u64, 0_u64, None::<Instant>, Duration::ZERO));
            *asked += 1;
            let began = Instant::now();
            match http(&cluster.netns(agent), address, 80) {
                Ok(_) => *since = None,
                Err(_) => {
                    *failed += 1;
                    *longest = (*longest).max(since.get_or_insert(began).elapsed());
                }
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let rows = told.into_iter().map(|(agent, (asked, failed, _, longest))| {
        format!("from {agent}: {failed} of {asked} failed, longest {longest:?} in a row")
    });
    rows.collect::<Vec<_>>().join("; ")
}

fn list(cluster: &Cluster, server: &str) -> BTreeMap<String, ()> {
    runtime().block_on(async {
        let api: Api<ConfigMap> = Api::namespaced(client(cluster, server).await, "default");
        let all = tokio::time::timeout(LIMIT, api.list(&ListParams::default())).await.expect("in time");
        let all = all.expect("a list").items.into_iter();
        all.filter_map(|item| Some((item.metadata.name?, ()))).collect()
    })
}

async fn client(cluster: &Cluster, server: &str) -> Client {
    let file = Kubeconfig::read_from(cluster.machine_dir(server).join("kubeconfig.yaml"));
    let options = KubeConfigOptions::default();
    let config =
        Config::from_custom_kubeconfig(file.expect("a kubeconfig"), &options).await.expect("it reads");
    Client::try_from(config).expect("a client")
}

/// On the calling thread alone, which is in the right namespace.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}
