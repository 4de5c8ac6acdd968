//! What survives: the runtime's own end, a kill in the middle, a killed shim, a killed pause process. And how fast.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests, and what they stand on")]

mod support;

use std::time::{Duration, Instant};

use support::{PATIENCE, Place, can_run, kill, script, texts};
use trireme_node::{ContainerState, Runtime, RuntimeEventKind, SandboxState};

#[tokio::test(flavor = "multi_thread")]
async fn containers_outlive_the_runtime() {
    if !can_run() {
        return;
    }
    let mut place = Place::new().await;
    let sandbox = place.sandbox("outlive").await;
    let lives = place
        .start(&sandbox, script("lives", "n=0; while :; do n=$((n+1)); echo $n; sleep 0.02; done"))
        .await;
    let dies = place.start(&sandbox, script("dies", "sleep 0.3; exit 6")).await;
    let waits = place.runtime().create_container(&sandbox, script("waits", "exit 2")).await.unwrap();
    let before = place.runtime().container(&lives).await.unwrap();
    let pause = place.runtime().sandboxes().await.unwrap()[0].clone();
    place.close();
    tokio::time::sleep(Duration::from_millis(600)).await;
    place.open().await;
    let sandboxes = place.runtime().sandboxes().await.unwrap();
    assert_eq!(sandboxes, [pause]);
    let after = place.runtime().container(&lives).await.unwrap();
    assert_eq!(after, before, "nothing about it has changed");
    let died = place.runtime().container(&dies).await.unwrap();
    assert_eq!((died.state, died.exit_code), (ContainerState::Exited, 6), "its end was not missed");
    assert_eq!(place.runtime().container(&waits).await.unwrap().state, ContainerState::Created);
    place.runtime().start_container(&waits).await.unwrap();
    assert_eq!(place.ended(&waits).await.exit_code, 2);
    assert_eq!(place.say(&lives, "echo still here").await.1, "still here");
    assert_eq!(place.runtime().run_sandbox(place.sandbox_config("outlive")).await.unwrap(), sandbox);
    let mut events = place.runtime().events();
    place.runtime().stop_container(&lives, Duration::from_millis(1)).await.unwrap();
    assert_eq!(events.recv().await.unwrap().kind, RuntimeEventKind::Stopped);
    let log = texts(&std::fs::read_to_string(&before.log_path).unwrap());
    let numbers: Vec<u32> = log.lines().map(|line| line.parse().unwrap()).collect();
    assert!(numbers.len() > 20 && numbers.iter().zip(1..).all(|(line, want)| *line == want));
    place.runtime().remove_sandbox(&sandbox).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_half_made_is_taken_away() {
    if !can_run() {
        return;
    }
    let mut place = Place::new().await;
    let sandbox = place.sandbox("half").await;
    let pause = place.runtime().sandboxes().await.unwrap()[0].pause_pid;
    // As a process that was killed between the shim's start and the last record leaves it.
    let record = place.folder().join("data/pods").join(&sandbox.0).join("sandbox.json");
    let text = std::fs::read_to_string(&record).unwrap();
    std::fs::write(&record, text.replace("\"Ready\"", "\"Creating\"")).unwrap();
    let orphan = place.folder().join("data/pods").join("a".repeat(64));
    std::fs::create_dir_all(orphan.join("containers")).unwrap();
    place.close();
    place.open().await;
    assert!(place.runtime().sandboxes().await.unwrap().is_empty());
    assert!(!std::path::Path::new(&format!("/proc/{pause}")).exists());
    assert_eq!(std::fs::read_dir(place.folder().join("data/pods")).unwrap().count(), 0);
    assert!(!place.group_folder("memory").join("kubepods/pod-half").exists());

    // The same before the shim listened: only its process id tells of it.
    let sandbox = place.sandbox("half").await;
    let folder = place.folder().join("data/pods").join(&sandbox.0);
    let shim: u32 = std::fs::read_to_string(folder.join("shim.pid")).unwrap().trim().parse().unwrap();
    let text = std::fs::read_to_string(folder.join("sandbox.json")).unwrap();
    std::fs::write(folder.join("sandbox.json"), text.replace("\"Ready\"", "\"Creating\"")).unwrap();
    for entry in std::fs::read_dir(place.folder().join("run")).unwrap().flatten() {
        std::fs::remove_file(entry.path()).unwrap();
    }
    place.close();
    place.open().await;
    assert!(place.runtime().sandboxes().await.unwrap().is_empty());
    let began = Instant::now();
    while std::fs::read_to_string(format!("/proc/{shim}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(began.elapsed() < PATIENCE, "the shim lives on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_shim_ends_its_pod_and_a_new_one_works() {
    if !can_run() {
        return;
    }
    let place = Place::new().await;
    let sandbox = place.sandbox("lost").await;
    let id = place.start(&sandbox, script("main", "sleep 1000")).await;
    let pid = place.runtime().container(&id).await.unwrap().pid;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let shim = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().parse().unwrap();
    kill(shim);
    let ended = place.ended(&id).await;
    assert_eq!((ended.exit_code, ended.reason.as_str()), (137, "Error"));
    assert!(ended.message.contains("shim"), "{}", ended.message);
    let began = Instant::now();
    while place.runtime().sandboxes().await.unwrap()[0].state != SandboxState::NotReady {
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // A process that was killed takes a moment to go.
    loop {
        let alive = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if alive.is_empty() || alive.contains(") Z ") {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{alive}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    place.runtime().stop_sandbox(&sandbox).await.unwrap();
    place.runtime().remove_sandbox(&sandbox).await.unwrap();

    // A pause process that is killed makes its sandbox unready; containers go with the sandbox.
    let sandbox = place.sandbox("pause").await;
    let id = place.start(&sandbox, script("main", "sleep 1000")).await;
    let pause = place.runtime().sandboxes().await.unwrap()[0].pause_pid;
    let mut events = place.runtime().events();
    kill(i32::try_from(pause).unwrap());
    let event = tokio::time::timeout(PATIENCE, events.recv()).await.unwrap().unwrap();
    assert_eq!((event.kind, event.container), (RuntimeEventKind::Stopped, None));
    assert_eq!(place.runtime().sandboxes().await.unwrap()[0].state, SandboxState::NotReady);
    assert_eq!(place.runtime().container(&id).await.unwrap().state, ContainerState::Running);
    place.runtime().stop_sandbox(&sandbox).await.unwrap();
    assert_eq!(place.runtime().container(&id).await.unwrap().state, ContainerState::Exited);
    place.runtime().remove_sandbox(&sandbox).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn images_in_use_stay_until_their_containers_go() {
    if !can_run() {
        return;
    }
    let place = Place::new().await;
    let sandbox = place.sandbox("images").await;
    let id = place.start(&sandbox, script("main", "sleep 1000")).await;
    let image = place.runtime().image("tools:1").await.unwrap().unwrap();
    place.runtime().remove_image("tools:1").await.unwrap();
    place.runtime().remove_image("tools:1").await.unwrap();
    assert!(place.runtime().image(&image.id).await.unwrap().is_none());
    assert_eq!(place.say(&id, "echo runs").await.1, "runs");
    let layers = place.folder().join("data/images/layers");
    assert_eq!(std::fs::read_dir(&layers).unwrap().count(), 1);
    place.runtime().remove_sandbox(&sandbox).await.unwrap();
    assert_eq!(std::fs::read_dir(&layers).unwrap().count(), 0, "the last container took them along");
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_start_fast() {
    if !can_run() {
        return;
    }
    let place = Place::new().await;
    let mut times = Vec::new();
    for number in 0..10 {
        let began = Instant::now();
        let sandbox = place.sandbox(&format!("fast{number}")).await;
        place.start(&sandbox, script("main", "sleep 1000")).await;
        times.push(began.elapsed());
    }
    times.sort();
    let began = Instant::now();
    let together = (0..20).map(|number| {
        let place = &place;
        async move {
            let began = Instant::now();
            let sandbox = place.sandbox(&format!("many{number}")).await;
            place.start(&sandbox, script("main", "sleep 1000")).await;
            began.elapsed()
        }
    });
    let mut many = futures_util::future::join_all(together).await;
    many.sort();
    println!("one after another: p50 {:?}, worst {:?}", times[5], times[9]);
    println!("20 at once: p50 {:?}, worst {:?}, all {:?}", many[10], many[19], began.elapsed());
    for sandbox in place.runtime().sandboxes().await.unwrap() {
        place.runtime().remove_sandbox(&sandbox.id).await.unwrap();
    }
}
