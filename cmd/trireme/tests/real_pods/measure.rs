//! How long pods take to start and where that time goes; what a machine that does nothing uses. Run by hand:
//! `cargo test --release -p trireme --test real_pods measure -- --ignored --nocapture`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::machine::{Machine, with};

/// Pods that start at once.
const AT_ONCE: usize = 20;
/// Pods that a node takes.
const FULL: usize = 110;

#[test]
#[ignore = "a measurement, run by hand"]
fn measure_pod_starts() {
    with("measure", &[], |machine| {
        idle(machine, "nothing runs");
        // The first start unpacks the image.
        starts(machine, "warm", 1);
        for round in ["a", "b", "c"] {
            let mut alone = Vec::new();
            for number in 0..5 {
                alone.extend(starts(machine, &format!("{round}{number}"), 1));
            }
            told("one after another", alone);
        }
        for round in ["d", "e", "f"] {
            let since = log_bytes(machine);
            let times = starts(machine, round, AT_ONCE);
            told("20 at once", times);
            shares(machine, since);
        }
        let slowest = starts(machine, "full", FULL).into_iter().max().unwrap_or_default();
        println!("{FULL} pods on one node: the last one runs {slowest} ms after it was created");
    });
}

fn log_bytes(machine: &Machine) -> u64 {
    std::fs::metadata(machine.path("log")).map_or(0, |about| about.len())
}

/// Milliseconds from the request that makes a pod to the watch that shows it running, of each.
fn starts(machine: &Machine, name: &str, count: usize) -> Vec<u128> {
    let mut watch = machine.kubectl_command();
    let path = "jsonpath={.metadata.name} {.status.phase}{\"\\n\"}";
    watch.args(["get", "pods", "-l", &format!("round={name}"), "--watch", "-o", path]);
    let mut watch = watch.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("kubectl runs");
    let lines = BufReader::new(watch.stdout.take().expect("piped")).lines();
    // The watch is to stand before the first pod is made.
    std::thread::sleep(Duration::from_millis(500));
    let pod = |number: usize| {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}-{number}, labels: {{round: {name}}}}}, spec: \
             {{terminationGracePeriodSeconds: 0, containers: [{{name: c, image: \"tools:1\", command: [sleep, \"3600\"]}}]}}}}\n---\n"
        )
    };
    let objects: String = (0..count).map(pod).collect();
    let (mut made, mut times) = (BTreeMap::new(), Vec::new());
    std::thread::scope(|scope| {
        scope.spawn(|| machine.run_kubectl_with(&["create", "-f", "-"], &objects));
        for line in lines.map_while(Result::ok) {
            let Some((pod, phase)) = line.split_once(' ') else { continue };
            let first = *made.entry(pod.to_owned()).or_insert_with(Instant::now);
            if phase == "Running" && made.len() <= count {
                times.push(first.elapsed().as_millis());
                if times.len() == count {
                    break;
                }
            }
        }
    });
    // It has shown what was wanted.
    let _ = watch.kill();
    let _ = watch.wait();
    machine.run_kubectl(&["delete", "pods", "-l", &format!("round={name}"), "--wait=true"]);
    times
}

fn told(what: &str, mut times: Vec<u128>) {
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 100];
    println!("{what}: created to Running p50 {} ms, p99 {} ms", at(50), at(99));
}

/// Where the time went: each step's median and worst, from the log.
fn shares(machine: &Machine, since: u64) {
    let text = std::fs::read(machine.path("log")).unwrap_or_default();
    let text =
        String::from_utf8_lossy(&text[usize::try_from(since).unwrap_or(0).min(text.len())..]).into_owned();
    let mut steps: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for line in text.lines().filter(|line| line.contains("::times")) {
        let Ok(line) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        let field =
            |name: &str| line.get(name).or_else(|| line["fields"].get(name)).cloned().unwrap_or_default();
        if let (Some(what), Some(micros)) = (field("what").as_str(), field("micros").as_u64()) {
            steps.entry(what.to_owned()).or_default().push(micros);
        }
    }
    for (step, mut micros) in steps {
        micros.sort_unstable();
        let (middle, worst) = (micros[micros.len() / 2], micros[micros.len() - 1]);
        println!(
            "  {step:28} {:5} times, p50 {:7.1} ms, worst {:7.1} ms",
            micros.len(),
            middle as f64 / 1e3,
            worst as f64 / 1e3
        );
    }
}

/// Memory and processor of server and node when nobody asks for anything.
fn idle(machine: &Machine, what: &str) {
    let pid = machine.pid();
    let ticks = || {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
        let fields: Vec<u64> = text
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .map(|word| word.parse().unwrap_or(0))
            .collect();
        fields[11] + fields[12]
    };
    let (before, span) = (ticks(), Duration::from_secs(10));
    std::thread::sleep(span);
    let used = ticks() - before;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let lines: Vec<&str> =
        status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("RssAnon")).collect();
    // A tick is a hundredth of a second.
    println!("{what}: {}; {:.1} % of a processor", lines.join(", "), used as f64 / span.as_secs_f64());
}
