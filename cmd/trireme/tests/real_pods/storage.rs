//! Disks: rows E7, E15, E16, E17, and volumes in memory.

use std::process::Command;
use std::time::Duration;

use crate::machine::{Machine, with};

/// The node looks every ten seconds.
const SOON: Duration = Duration::from_secs(120);

#[test]
fn disks_are_shared_and_bounded() {
    let flags = ["--pod-logs-dir=FOLDER/elsewhere", "--image-maximum-gc-age=15s"];
    with("storage", &flags, |machine| {
        let _mounted = Mounted::make(machine);
        machine.apply(include_str!("storage.yaml"));
        machine.until_running(&["memory", "rro"]);
        e15_read_only_mounts_are_so_to_their_last_mount(machine);
        memory_volumes_have_a_size(machine);
        e17_logs_lie_in_the_folder_that_was_named(machine);
        e7_pods_that_use_too_much_disk_are_evicted(machine);
        e16_images_nobody_used_for_long_go(machine);
    });
}

/// A filesystem mounted below a folder that pods see.
struct Mounted(std::path::PathBuf);

impl Mounted {
    fn make(machine: &Machine) -> Self {
        let path = machine.path("mnt").join("tmpfs");
        std::fs::create_dir_all(&path).expect("a folder");
        let done = Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&path).status();
        assert!(done.expect("mount is on every Linux machine").success());
        Self(path)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // What stays mounted shows as left behind.
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

fn e15_read_only_mounts_are_so_to_their_last_mount(machine: &Machine) {
    let touch = |path: &str| {
        let (code, _, err) = machine.kubectl(&["exec", "rro", "--", "touch", path]);
        (code == Some(0), err)
    };
    for path in ["/mnt-rro/x", "/mnt-rro/tmpfs/x", "/mnt-maybe/tmpfs/x", "/mnt-ro/x"] {
        let (done, err) = touch(path);
        assert!(!done && err.contains("Read-only file system"), "{path}: {err}");
    }
    for path in ["/mnt-ro/tmpfs/x", "/mnt-rw/x", "/mnt-rw/tmpfs/x"] {
        let (done, err) = touch(path);
        assert!(done, "{path}: {err}");
    }
    let told = machine.get("pod/rro", "{.status.containerStatuses[0].volumeMounts[*].recursiveReadOnly}");
    // The last one is the service account's.
    assert_eq!(told, "Enabled Enabled Disabled Disabled");
    let node = format!("node/{}", machine.node);
    let handler = machine.get(&node, "{.status.runtimeHandlers[0].features.recursiveReadOnlyMounts}");
    assert_eq!(handler, "true");
}

fn memory_volumes_have_a_size(machine: &Machine) {
    let mounts = machine.exec("memory", "cat /proc/mounts");
    assert!(
        mounts.lines().any(|line| line.starts_with("tmpfs /v tmpfs ") && line.contains("size=1024k")),
        "{mounts}"
    );
    let (code, _, err) =
        machine.kubectl(&["exec", "memory", "--", "sh", "-c", "head -c 2000000 /dev/zero > /v/file"]);
    assert!(code != Some(0) && err.contains("No space left on device"), "{err}");
    assert_eq!(machine.exec("memory", "stat -c %s /v/file").trim(), "1048576");
}

fn e17_logs_lie_in_the_folder_that_was_named(machine: &Machine) {
    let uid = machine.get("pod/memory", "{.metadata.uid}");
    let log = machine.path("elsewhere").join(format!("default_memory_{uid}/c/0.log"));
    assert!(log.exists(), "{}", log.display());
    machine.run_kubectl(&[
        "run",
        "says",
        "--image=tools:1",
        "--restart=Never",
        "--command",
        "--",
        "sh",
        "-c",
        "echo words",
    ]);
    machine.until("its end", || machine.get("pod/says", "{.status.phase}") == "Succeeded");
    assert_eq!(machine.run_kubectl(&["logs", "says"]), "words\n");
    let uid = machine.get("pod/says", "{.metadata.uid}");
    let text =
        std::fs::read_to_string(machine.path("elsewhere").join(format!("default_says_{uid}/says/0.log")));
    let text = text.expect("the log is a file");
    assert!(text.ends_with(" stdout F words\n"), "{text}");
    machine.run_kubectl(&["delete", "pod", "says"]);
}

fn e7_pods_that_use_too_much_disk_are_evicted(machine: &Machine) {
    for (pod, message) in [
        ("fills-volume", "Usage of EmptyDir volume \"v\" exceeds the limit \"1Mi\". "),
        ("fills-root", "Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. "),
    ] {
        let object = format!("pod/{pod}");
        machine.until_within("the eviction", SOON, || machine.get(&object, "{.status.phase}") == "Failed");
        assert_eq!(machine.get(&object, "{.status.reason}"), "Evicted");
        assert_eq!(machine.get(&object, "{.status.message}"), message);
        assert_eq!(machine.processes_of(pod), Vec::<i32>::new());
    }
    let why = machine.get("pod/wants-too-much", "{.status.conditions[?(@.type==\"PodScheduled\")].message}");
    assert!(why.contains("Insufficient ephemeral-storage"), "{why}");
}

fn e16_images_nobody_used_for_long_go(machine: &Machine) {
    let archive =
        machine.trireme().args(["image", "build", "--tag", "unused:1", "--add", "/etc/hostname:/x"]).output();
    assert!(archive.expect("trireme runs").status.success());
    let listed = || {
        let out = machine.trireme().args(["image", "ls"]).output().expect("trireme runs");
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    assert!(listed().contains("unused:1"), "{}", listed());
    machine.until_within("the image's end", SOON, || !listed().contains("unused:1"));
    assert!(listed().contains("tools:1"), "one in use stays: {}", listed());
    assert_eq!(machine.exec("memory", "echo still here").trim(), "still here");
}
