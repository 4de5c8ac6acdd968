//! What a container may do and use, and people in it: row E18; powers, filters, limits, memory, last words.

use std::process::Command;

use crate::machine::{Machine, with};

#[test]
fn containers_have_bounds() {
    with("security", &[], |machine| {
        machine.apply(include_str!("security.yaml"));
        machine.until_running(&["plain", "narrow"]);
        powers_are_what_the_pod_says(machine);
        limits_of_processes_are_containerds(machine);
        a_container_beyond_its_memory_is_killed_and_says_so(machine);
        last_words_are_told(machine);
        resources_change_in_place(machine);
        e18_people_can_talk_to_containers(machine);
    });
}

fn status(machine: &Machine, pod: &str, field: &str) -> String {
    let text = machine.exec(pod, "cat /proc/self/status");
    let line = text.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    line.trim_start_matches(':').trim().to_owned()
}

fn powers_are_what_the_pod_says(machine: &Machine) {
    assert_eq!(status(machine, "plain", "CapEff"), "00000000a80425fb", "the runtimes' usual set");
    assert_eq!(status(machine, "narrow", "CapBnd"), "0000000000000000");
    assert_eq!(
        (status(machine, "plain", "Seccomp:"), status(machine, "narrow", "Seccomp:")),
        ("0".into(), "2".into())
    );
    assert_eq!(status(machine, "narrow", "NoNewPrivs"), "1");
    assert_eq!(status(machine, "narrow", "Uid"), "1000\t1000\t1000\t1000");
    let (code, _, err) = machine.kubectl(&["exec", "narrow", "--", "touch", "/x"]);
    assert!(code != Some(0) && err.contains("Read-only file system"), "{err}");
    let (code, ..) =
        machine.kubectl(&["exec", "plain", "--", "sh", "-c", "echo x > /proc/sys/kernel/hostname"]);
    assert_ne!(code, Some(0), "/proc/sys is read-only");
    // The pod's own process: who the pod says, filtered, without any power.
    let pause = pause_of(machine, "narrow");
    let text = std::fs::read_to_string(format!("/proc/{pause}/status")).expect("it lives");
    for line in ["Uid:\t1000\t1000\t1000\t1000", "CapEff:\t0000000000000000", "Seccomp:\t2", "NoNewPrivs:\t1"]
    {
        assert!(text.lines().any(|known| known == line), "{line:?} is not in {text}");
    }
}

/// The process that holds the pod's namespaces: called `pause`, in the network of the container.
fn pause_of(machine: &Machine, pod: &str) -> i32 {
    let own = machine.processes_of(pod)[0];
    let space = |pid: i32| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    let all = std::fs::read_dir("/proc").expect("/proc").flatten();
    let mut pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.find(|pid| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.trim() == "pause" && space(*pid).is_some() && space(*pid) == space(own)
    })
    .expect("each pod has one")
}

fn limits_of_processes_are_containerds(machine: &Machine) {
    let limits = machine.exec("plain", "cat /proc/self/limits");
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
    let words: Vec<&str> = files.split_whitespace().collect();
    assert_eq!(words[3], "1024", "{files}");
    let most: u64 = words[4].parse().expect("a number");
    assert!((1_024..=524_288).contains(&most), "{files}");
}

fn a_container_beyond_its_memory_is_killed_and_says_so(machine: &Machine) {
    machine.until("its end", || machine.get("pod/hog", "{.status.phase}") == "Failed");
    let state = "{.status.containerStatuses[0].state.terminated.reason} {.status.containerStatuses[0].state.terminated.exitCode}";
    assert_eq!(machine.get("pod/hog", state), "OOMKilled 137");
}

fn last_words_are_told(machine: &Machine) {
    machine.until("its end", || machine.get("pod/last-words", "{.status.phase}") == "Failed");
    let words =
        "{range .status.containerStatuses[*]}{.state.terminated.exitCode} {.state.terminated.message};{end}";
    assert_eq!(machine.get("pod/last-words", words), "3 why;4 from the log\n;");
}

fn resources_change_in_place(machine: &Machine) {
    let id = machine.get("pod/plain", "{.status.containerStatuses[0].containerID}");
    let patch = r#"{"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":"100m"},"limits":{"cpu":"200m","memory":"96Mi"}}}]}}"#;
    machine.run_kubectl(&["patch", "pod", "plain", "--subresource=resize", "-p", patch]);
    let process = machine.processes_of("plain")[0];
    let groups = std::fs::read_to_string(format!("/proc/{process}/cgroup")).expect("it lives");
    let read = |controller: &str, v1: &str, v2: &str| {
        let v1_line = groups.lines().find(|line| line.split(':').nth(1) == Some(controller));
        let (root, line, file) = match v1_line {
            Some(line) => (format!("/sys/fs/cgroup/{controller}"), line, v1),
            None => ("/sys/fs/cgroup".to_owned(), groups.lines().next().unwrap_or_default(), v2),
        };
        let path = line.splitn(3, ':').nth(2).unwrap_or_default();
        std::fs::read_to_string(format!("{root}{path}/{file}")).unwrap_or_default().trim().to_owned()
    };
    machine.until("the new bounds in the kernel", || {
        ["20000", "20000 100000"].contains(&read("cpu", "cpu.cfs_quota_us", "cpu.max").as_str())
            && read("memory", "memory.limit_in_bytes", "memory.max") == "100663296"
    });
    machine.until("the new bounds in its status", || {
        machine.get("pod/plain", "{.status.containerStatuses[0].resources.limits.cpu}") == "200m"
    });
    assert_eq!(
        machine.get("pod/plain", "{.status.containerStatuses[0].containerID}"),
        id,
        "the same container"
    );
}

fn e18_people_can_talk_to_containers(machine: &Machine) {
    let (code, out, _) = machine.kubectl_with(&["exec", "-i", "plain", "--", "cat"], "over and back");
    assert_eq!((code, out.as_str()), (Some(0), "over and back"));
    for transport in ["true", "false"] {
        let on_a_terminal = |words: &str| {
            let kubectl = machine.kubectl_command();
            let start = std::iter::once(kubectl.get_program()).chain(kubectl.get_args());
            let start: Vec<String> = start.map(|word| word.to_string_lossy().into_owned()).collect();
            let line = format!("stty rows 33 cols 77; {} {words}", start.join(" "));
            let mut script = Command::new("script");
            script.envs(kubectl.get_envs().filter_map(|(name, value)| Some((name, value?))));
            script.env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", transport);
            let done = script.args(["-qec", &line, "/dev/null"]).stdin(std::process::Stdio::null()).output();
            let done = done.expect("script was found");
            (done.status.code(), String::from_utf8_lossy(&done.stdout).replace('\r', ""))
        };
        if Command::new("script").arg("--version").output().is_err() {
            println!("SKIPPED: no program script (util-linux), so no terminal");
            return;
        }
        let (code, out) = on_a_terminal(
            "exec -it plain -- sh -c 'tty; while [ \"$(stty size)\" = \"0 0\" ]; do sleep 0.1; done; stty size; exit 7'",
        );
        assert_eq!(code, Some(7), "{out}");
        assert!(out.contains("/dev/pts/") && out.contains("33 77"), "websockets {transport}: {out}");
        let (code, out) = on_a_terminal(
            "run once -it --rm --image=tools:1 --restart=Never --command -- sh -c 'tty; exit 3'",
        );
        assert_eq!(code, Some(3), "{out}");
        assert!(
            out.contains("/dev/pts/") && out.contains("pod \"once\" deleted"),
            "websockets {transport}: {out}"
        );
    }
}
