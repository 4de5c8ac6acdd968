//! Pods that end: rows C12, C13, C14, J2.

use std::time::Duration;

use crate::machine::{Machine, with};

#[test]
fn jobs_run_to_their_end() {
    with("jobs", &[], |machine| {
        machine.apply(include_str!("jobs.yaml"));
        c12_a_job_runs_to_its_completions(machine);
        j2_logs_of_jobs_and_selectors(machine);
        c13_a_success_policy_ends_a_job_early(machine);
        c14_a_cron_job_makes_a_job_each_minute(machine);
    });
}

fn condition(machine: &Machine, job: &str, kind: &str, field: &str) -> String {
    machine.get(&format!("job/{job}"), &format!("{{.status.conditions[?(@.type==\"{kind}\")].{field}}}"))
}

fn c12_a_job_runs_to_its_completions(machine: &Machine) {
    machine.until("the job's end", || {
        let active = machine.get("job/five", "{.status.active}").parse().unwrap_or(0);
        assert!(active <= 2, "{active} pods at once");
        condition(machine, "five", "Complete", "status") == "True"
    });
    assert_eq!(machine.get("job/five", "{.status.succeeded}"), "5");
    let ran = std::fs::read_dir(machine.path("five")).expect("the pods wrote there").count();
    assert_eq!(ran, 5, "five pods left a file each");
    machine.until("the end of retries", || {
        condition(machine, "fails", "Failed", "reason") == "BackoffLimitExceeded"
    });
    let ends = machine.all("pods", "work=fails", "{.status.containerStatuses[0].state.terminated.exitCode}");
    assert_eq!(ends, ["9", "9"]);
}

fn j2_logs_of_jobs_and_selectors(machine: &Machine) {
    let one = machine.run_kubectl(&["logs", "job/five"]);
    assert!(one.starts_with("ran on five-"), "{one}");
    for selector in [["-l", "work=five"], ["--selector", "work=five"]] {
        let all = machine.run_kubectl(&["logs", selector[0], selector[1], "--prefix", "--since=1h"]);
        assert_eq!(
            all.lines()
                .filter(|line| line.starts_with("[pod/five-") && line.contains("ran on five-"))
                .count(),
            5,
            "{all}"
        );
    }
    // -f ends with the container.
    assert!(machine.run_kubectl(&["logs", "-f", "job/five"]).starts_with("ran on five-"));
}

fn c13_a_success_policy_ends_a_job_early(machine: &Machine) {
    let file = |job: &str, name: &str| machine.path(job).join(name);
    machine.until("four pods that know their index", || {
        (0..4).all(|index| file("leader", &index.to_string()).exists())
    });
    let running = || {
        let pods = machine.all("pods", "work=leader", "{.metadata.name}");
        pods.iter().map(|pod| machine.processes_of(pod).len()).sum::<usize>()
    };
    assert!(running() >= 4);
    std::fs::write(file("leader", "go"), "").expect("the folder is there");
    machine.until("success", || condition(machine, "leader", "SuccessCriteriaMet", "status") == "True");
    assert_eq!(condition(machine, "leader", "SuccessCriteriaMet", "reason"), "SuccessPolicy");
    assert_eq!(condition(machine, "leader", "SuccessCriteriaMet", "message"), "Matched rules at index 0");
    machine.until("the end", || condition(machine, "leader", "Complete", "status") == "True");
    assert_eq!(condition(machine, "leader", "Complete", "reason"), "SuccessPolicy");
    machine.until("no process of it", || running() == 0);
    assert_eq!(machine.get("job/leader", "{.status.completedIndexes}"), "2");
    // Without a count all listed indexes are needed.
    machine.until("pods", || file("all", "").exists());
    std::fs::write(file("all", "0"), "").expect("the folder is there");
    machine.until("one index", || machine.get("job/all", "{.status.completedIndexes}") == "0");
    assert_eq!(condition(machine, "all", "SuccessCriteriaMet", "status"), "");
    std::fs::write(file("all", "1"), "").expect("the folder is there");
    machine.until("both", || condition(machine, "all", "Complete", "reason") == "SuccessPolicy");
}

fn c14_a_cron_job_makes_a_job_each_minute(machine: &Machine) {
    let ticks = || std::fs::read_to_string(machine.path("out").join("ticks")).unwrap_or_default();
    machine.until_within("the minute", Duration::from_secs(150), || !ticks().is_empty());
    assert_eq!(ticks(), "tick\n");
    machine.until("its end", || !machine.get("cronjob/minutely", "{.status.lastSuccessfulTime}").is_empty());
    let owners =
        machine.run_kubectl(&["get", "jobs", "-o", "jsonpath={.items[*].metadata.ownerReferences[0].name}"]);
    assert_eq!(owners, "minutely", "the suspended one made none");
}
