//! Real containers: what they see, how they end, what is left of them.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests, and what they stand on")]

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use support::{Place, can_run, script};
use trireme_node::{ContainerState, Mount, Runtime, RuntimeErrorKind, Seccomp};

#[tokio::test(flavor = "multi_thread")]
async fn a_container_runs_apart_from_the_node_and_leaves_nothing() {
    if !can_run() {
        return;
    }
    let place = Place::new().await;
    let sandbox = place.sandbox("apart").await;
    let again = place.runtime().run_sandbox(place.sandbox_config("apart")).await.unwrap();
    assert_eq!(sandbox, again, "the same pod and attempt is the same sandbox");
    let id = place.start(&sandbox, script("main", "echo hello; echo oops >&2; sleep 1000")).await;
    let status = place.runtime().container(&id).await.unwrap();
    assert_eq!(status.state, ContainerState::Running);
    assert_eq!(status.user, Some((0, 0, vec![0])));
    let pause = place.runtime().sandboxes().await.unwrap()[0].pause_pid;
    let space = |pid: u32, kind: &str| std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
    for kind in ["mnt", "pid", "net", "ipc", "uts", "cgroup"] {
        assert_ne!(space(status.pid, kind), space(std::process::id(), kind), "{kind}");
    }
    for kind in ["net", "ipc", "uts"] {
        assert_eq!(space(status.pid, kind), space(pause, kind), "{kind}");
    }
    assert_eq!(place.say(&id, "hostname; cat /etc/hostname").await, (0, "apart\napart".to_owned()));
    assert_eq!(place.say(&id, "echo $$ $HOSTNAME $HOME").await.1.split_once(' ').unwrap().1, "apart /root");
    assert_eq!(place.say(&id, "cat /proc/1/cmdline | head -c 7").await.1.as_bytes(), b"/bin/sh");
    let (_, groups) = place.say(&id, "cat /proc/self/cgroup").await;
    assert!(groups.lines().any(|line| line.ends_with("memory:/") || line == "0::/"), "{groups}");
    assert_eq!(place.say(&id, "exit 7").await.0, 7);
    assert_eq!(place.say(&id, "df /dev/shm | tail -1 | { read a b c; echo $a $b; }").await.1, "shm 65536");
    let (_, mounts) = place.say(&id, "cat /proc/self/mountinfo").await;
    assert!(!mounts.contains(&place.folder().join("data/pods").join("x").display().to_string()));
    let log = std::fs::read_to_string(&status.log_path).unwrap();
    assert!(log.lines().any(|line| line.ends_with(" stdout F hello")), "{log}");
    assert!(log.lines().any(|line| line.ends_with(" stderr F oops")), "{log}");
    let here = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!here.contains(&place.folder().display().to_string()), "nothing is mounted on the node");

    place.runtime().stop_sandbox(&sandbox).await.unwrap();
    let ended = place.runtime().container(&id).await.unwrap();
    assert_eq!((ended.state, ended.exit_code, ended.signal), (ContainerState::Exited, 137, 9));
    place.runtime().stop_sandbox(&sandbox).await.unwrap();
    place.runtime().remove_sandbox(&sandbox).await.unwrap();
    place.runtime().remove_sandbox(&sandbox).await.unwrap();
    assert!(place.runtime().containers().await.unwrap().is_empty());
    assert_eq!(std::fs::read_dir(place.folder().join("data/pods")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(place.folder().join("run")).unwrap().count(), 0);
    assert!(!place.group_folder("memory").join("kubepods/pod-apart").exists());
    assert!(!Path::new(&format!("/proc/{pause}")).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_are_told_as_they_were() {
    if !can_run() {
        return;
    }
    let place = Place::new().await;
    let sandbox = place.sandbox("ends").await;
    let (done, log) = place.run(&sandbox, script("ok", "printf 'a\\nb'")).await;
    assert_eq!((done.exit_code, done.reason.as_str(), log.as_str()), (0, "Completed", "a\nb"));
    assert!(done.finished_at >= done.started_at && done.started_at >= done.created_at);
    let (done, _) = place.run(&sandbox, script("bad", "exit 3")).await;
    assert_eq!((done.exit_code, done.signal, done.reason.as_str()), (3, 0, "Error"));
    let (done, _) =
        place.run(&sandbox, script("killed", "kill -9 $$; sleep 100 & kill -TERM $!; exec sleep 0")).await;
    assert_eq!(done.exit_code, 0, "the first process of a namespace is not killed from within");

    // A polite one ends by its own signal, a deaf one by force after the grace.
    let mut config = script("polite", "trap 'exit 5' USR1; while :; do sleep 0.05; done");
    config.stop_signal = "SIGUSR1".into();
    let polite = place.start(&sandbox, config).await;
    let began = Instant::now();
    tokio::time::sleep(Duration::from_millis(100)).await;
    place.runtime().stop_container(&polite, Duration::from_secs(30)).await.unwrap();
    assert_eq!(place.runtime().container(&polite).await.unwrap().exit_code, 5);
    assert!(began.elapsed() < Duration::from_secs(25));
    let deaf = place.start(&sandbox, script("deaf", "trap '' TERM; while :; do sleep 0.05; done")).await;
    place.runtime().stop_container(&deaf, Duration::from_millis(300)).await.unwrap();
    let status = place.runtime().container(&deaf).await.unwrap();
    assert_eq!((status.exit_code, status.signal), (137, 9));
    place.runtime().stop_container(&deaf, Duration::from_secs(1)).await.unwrap();

    // What cannot start says why.
    for (change, want) in [
        ("nosuch", "exec: \"nosuch\": executable file not found in $PATH"),
        ("/bin/nosuch", "exec: \"/bin/nosuch\": stat /bin/nosuch: no such file or directory"),
        ("/etc/passwd", "exec: \"/etc/passwd\": permission denied"),
    ] {
        let mut config = script(&change.replace('/', "-"), "");
        config.command = vec![change.into()];
        let id = place.runtime().create_container(&sandbox, config).await.unwrap();
        let error = place.runtime().start_container(&id).await.unwrap_err();
        assert_eq!(error.kind, RuntimeErrorKind::CannotStart);
        assert!(error.message.ends_with(want), "{error}");
        let status = place.runtime().container(&id).await.unwrap();
        assert_eq!((status.state, status.exit_code), (ContainerState::Exited, 128));
        assert_eq!(status.reason, "ContainerCannotRun");
        place.runtime().remove_container(&id).await.unwrap();
        assert_eq!(place.runtime().container(&id).await.unwrap_err().kind, RuntimeErrorKind::NotFound);
    }
    let mut config = script("noimage", "");
    config.image = "nosuch:1".into();
    let error = place.runtime().create_container(&sandbox, config).await.unwrap_err();
    assert_eq!(error.kind, RuntimeErrorKind::ImageUnavailable);
    place.runtime().remove_sandbox(&sandbox).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_beyond_the_limit_kills() {
    if !can_run() {
        return;
    }
    let place = Place::new().await;
    let sandbox = place.sandbox("oom").await;
    // One buffer of 100 MB in the container's first process: it is the one to be killed.
    let mut config = script("greedy", "exec dd if=/dev/zero of=/dev/null bs=100M count=1");
    config.resources.memory_limit = Some(16 * 1024 * 1024);
    let (status, _) = place.run(&sandbox, config).await;
    assert_eq!((status.exit_code, status.reason.as_str()), (137, "OOMKilled"));
    place.runtime().remove_sandbox(&sandbox).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn powers_are_what_was_given() {
    if !can_run() {
        return;
    }
    let place = Place::new().await;
    let sandbox = place.sandbox("powers").await;
    let show = "while read a b; do case $a in Cap*|Seccomp:|NoNewPrivs:|Uid:|Gid:|Groups:) echo $a $b;; esac; done < /proc/self/status";
    let (_, log) = place.run(&sandbox, script("plain", show)).await;
    assert!(log.contains("CapBnd: 00000000a80425fb") && log.contains("CapEff: 00000000a80425fb"), "{log}");
    assert!(log.contains("CapInh: 0000000000000000") && log.contains("CapAmb: 0000000000000000"), "{log}");

    let mut config = script("none", &format!("{show}; mkdir /tmp/x; chmod 4755 /tmp/x; touch /x"));
    config.security.drop_capabilities = vec!["ALL".into()];
    config.security.add_capabilities = vec!["NET_BIND_SERVICE".into()];
    config.security.run_as_user = Some(1234);
    config.security.run_as_group = Some(55);
    config.security.supplemental_groups = vec![77, 88];
    config.security.no_new_privileges = true;
    config.security.seccomp = Seccomp::RuntimeDefault;
    let (status, log) = place.run(&sandbox, config).await;
    assert!(log.contains("CapBnd: 0000000000000400") && log.contains("CapEff: 0000000000000000"), "{log}");
    assert!(
        log.contains("Uid: 1234") && log.contains("Gid: 55") && log.contains("Groups: 55 77 88"),
        "{log}"
    );
    assert!(log.contains("NoNewPrivs: 1") && log.contains("Seccomp: 2"), "{log}");
    assert!(log.contains("touch: cannot touch '/x': Permission denied"), "{log}");
    assert_eq!(status.user, Some((1234, 55, vec![55, 77, 88])));

    // The filter: the same call with and without.
    let unshare = "unshare -U true && echo made || echo refused";
    let (_, open) = place.run(&sandbox, script("open", &unshare.replace("true", "/bin/ls /"))).await;
    let mut config = script("filtered", unshare);
    config.security.seccomp = Seccomp::RuntimeDefault;
    let (_, filtered) = place.run(&sandbox, config).await;
    assert!(filtered.contains("refused"), "{filtered}");
    assert!(open.contains("made"), "{open}");
    let profile = place.folder().join("profile.json");
    std::fs::write(&profile, r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":28}]}"#).unwrap();
    let mut config = script("local", "mkdir /tmp/x");
    config.security.seccomp = Seccomp::Localhost(profile.display().to_string());
    let (_, log) = place.run(&sandbox, config).await;
    assert!(log.contains("No space left on device"), "{log}");
    place.runtime().remove_sandbox(&sandbox).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_guarded_as_asked() {
    if !can_run() {
        return;
    }
    let place = Place::new().await;
    let sandbox = place.sandbox("files").await;
    let host = place.folder().join("volume");
    std::fs::create_dir_all(host.join("deep")).unwrap();
    std::fs::write(host.join("deep/file"), "content").unwrap();
    let mount = |at: &str, read_only: bool| Mount {
        host_path: host.display().to_string(),
        container_path: at.into(),
        read_only,
        ..Mount::default()
    };
    let tries = "touch /x; touch /rw/made && echo rw ok; touch /ro/x; cat /rw/deep/file; echo;
        touch /dev/shm/x && echo shm ok; ls /masked; cat /proc/timer_list | head -c 1; echo 1 > /proc/sys/kernel/panic;
        touch /sys/fs/cgroup/x; echo $PWD; mknod /dev/shm/disk b 259 0 && head -c 1 /dev/shm/disk";
    let mut config = script("guarded", tries);
    config.security.read_only_rootfs = true;
    config.security.masked_paths = vec!["/masked".into(), "/proc/timer_list".into(), "/nosuch".into()];
    config.security.read_only_paths = vec!["/proc/sys".into(), "/nosuch".into()];
    config.working_dir = "/made/by/runtime".into();
    config.mounts = vec![mount("/ro", true), mount("/masked", false), mount("/rw", false)];
    let (_, log) = place.run(&sandbox, config).await;
    assert!(log.contains("touch: cannot touch '/x': Read-only file system"), "{log}");
    assert!(log.contains("touch: cannot touch '/ro/x': Read-only file system"), "{log}");
    assert!(log.contains("rw ok\n") && log.contains("content\n") && log.contains("shm ok\n"), "{log}");
    assert!(!log.contains("deep"), "the masked folder is empty: {log}");
    assert!(log.contains("/proc/sys/kernel/panic: Read-only file system"), "{log}");
    assert!(log.contains("/sys/fs/cgroup/x': Read-only file system"), "{log}");
    assert!(log.contains("/made/by/runtime\n"), "{log}");
    assert!(
        log.contains("'/dev/shm/disk' for reading: Operation not permitted")
            || log.contains("disk': Operation not permitted")
            || log.contains("Permission denied"),
        "{log}"
    );
    assert!(host.join("made").exists());

    let mut config = script("recursive", "touch /rro/deep/x");
    config.mounts = vec![Mount { recursive_read_only: true, ..mount("/rro", true) }];
    let (_, log) = place.run(&sandbox, config).await;
    assert!(log.contains("Read-only file system"), "{log}");
    let mut config = script("missing", "true");
    config.mounts = vec![Mount { host_path: "/nosuch/path".into(), ..mount("/x", false) }];
    let id = place.runtime().create_container(&sandbox, config).await.unwrap();
    let error = place.runtime().start_container(&id).await.unwrap_err();
    assert!(error.message.contains("error mounting \"/nosuch/path\" to \"/x\""), "{error}");
    place.runtime().remove_sandbox(&sandbox).await.unwrap();
}
