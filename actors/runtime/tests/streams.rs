//! Streams into real containers: exec, attach, terminals, port-forward, logs that rotate, limits, numbers.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests, and what they stand on")]

mod support;

use std::time::Duration;

use support::{PATIENCE, Place, can_run, script, texts};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use trireme_node::{
    ContainerConfig, ExecRequest, Resources, Runtime, RuntimeErrorKind, RuntimeEventKind, TerminalSize,
};

fn shell(script: &str) -> Vec<String> {
    vec!["/bin/sh".into(), "-c".into(), script.into()]
}

async fn all(stream: Option<Box<dyn tokio::io::AsyncRead + Send + Unpin>>) -> String {
    let mut bytes = Vec::new();
    timeout(PATIENCE, stream.unwrap().read_to_end(&mut bytes)).await.unwrap().unwrap();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn exec_carries_streams_and_ends_with_its_client() {
    if !can_run() {
        return;
    }
    let place = Place::new().await;
    let sandbox = place.sandbox("exec").await;
    let id = place.start(&sandbox, script("main", "sleep 1000")).await;
    let runtime = place.runtime();
    let request = ExecRequest {
        command: shell("cat; echo err >&2; exit 9"),
        stdin: true,
        stdout: true,
        stderr: true,
        tty: false,
    };
    let mut streams = runtime.exec(&id, request).await.unwrap();
    let mut stdin = streams.stdin.take().unwrap();
    let sent = "line of text\n".repeat(50_000);
    let text = sent.clone();
    let writing = tokio::spawn(async move {
        stdin.write_all(text.as_bytes()).await.unwrap();
        stdin.shutdown().await.unwrap();
    });
    let (out, err) = tokio::join!(all(streams.stdout.take()), all(streams.stderr.take()));
    writing.await.unwrap();
    assert!(out == sent, "{} of {} bytes", out.len(), sent.len());
    assert_eq!(err, "err\n");
    assert_eq!(timeout(PATIENCE, streams.exit).await.unwrap().unwrap().unwrap(), 9);

    // Much output, and only the first part is kept; a limit that is over; a command that is not there.
    let out = runtime.exec_sync(&id, shell("head -c 1000000 /dev/zero; exit 4"), PATIENCE).await.unwrap();
    assert_eq!((out.exit_code, out.stdout.len()), (4, 16 * 1024));
    let error =
        runtime.exec_sync(&id, shell("exec sleep 777"), Duration::from_millis(300)).await.unwrap_err();
    assert_eq!(error.kind, RuntimeErrorKind::DeadlineExceeded);
    let error = runtime.exec_sync(&id, vec!["nosuch".into()], PATIENCE).await.unwrap_err();
    assert!(error.message.contains("executable file not found in $PATH"), "{error}");
    assert_eq!(error.kind, RuntimeErrorKind::CannotStart);

    // Whoever drops the streams ends the program.
    let request = ExecRequest { command: shell("exec sleep 888"), stdout: true, ..ExecRequest::default() };
    drop(runtime.exec(&id, request).await.unwrap());
    let look = "for p in /proc/[0-9]*; do cat $p/cmdline 2>/dev/null | { read -r x; echo \"$x\"; }; done";
    let began = std::time::Instant::now();
    loop {
        let (_, list) = place.say(&id, look).await;
        if !list.contains("777") && !list.contains("888") {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{list}");
    }
    runtime.remove_sandbox(&sandbox).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn terminals_have_a_size_and_a_name() {
    if !can_run() {
        return;
    }
    let place = Place::new().await;
    let sandbox = place.sandbox("tty").await;
    let mut config = script("main", "tty; while read line; do echo \"got $line\"; stty size; done; echo bye");
    config.tty = true;
    config.stdin = true;
    let id = place.start(&sandbox, config).await;
    let runtime = place.runtime();
    let request = ExecRequest { stdin: true, stdout: true, stderr: true, tty: true, command: vec![] };
    let mut streams = runtime.attach(&id, request).await.unwrap();
    assert!(streams.stderr.is_none());
    streams.resize.as_ref().unwrap().send(TerminalSize { width: 101, height: 33 }).await.unwrap();
    // The size arrives before what is typed after it: one connection, in order.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut stdin = streams.stdin.take().unwrap();
    let mut stdout = streams.stdout.take().unwrap();
    let mut seen = String::new();
    let mut chunk = [0; 1024];
    let began = std::time::Instant::now();
    while !seen.contains("33 101") {
        stdin.write_all(b"hello\n").await.unwrap();
        let count = timeout(PATIENCE, stdout.read(&mut chunk)).await.unwrap().unwrap();
        seen.push_str(&String::from_utf8_lossy(&chunk[..count]));
        assert!(began.elapsed() < PATIENCE, "{seen}");
    }
    assert!(seen.contains("got hello"), "{seen}");
    stdin.write_all(&[4]).await.unwrap();
    drop((stdin, streams.resize));
    let mut rest = String::new();
    timeout(PATIENCE, stdout.read_to_string(&mut rest)).await.unwrap().unwrap();
    assert!(rest.contains("bye"), "{rest}");
    assert_eq!(timeout(PATIENCE, streams.exit).await.unwrap().unwrap().unwrap(), 0);
    let status = place.ended(&id).await;
    let log = texts(&std::fs::read_to_string(&status.log_path).unwrap());
    assert!(log.starts_with("/dev/pts/0"), "{log}");

    // A further program with a terminal of its own.
    let other = place.start(&sandbox, script("other", "sleep 1000")).await;
    let request =
        ExecRequest { command: shell("tty; echo $TERM"), stdout: true, tty: true, ..ExecRequest::default() };
    let mut streams = runtime.exec(&other, request).await.unwrap();
    let out = all(streams.stdout.take()).await;
    assert!(out.contains("/dev/pts/0") && out.contains("xterm"), "{out}");
    runtime.remove_sandbox(&sandbox).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn attach_follows_and_input_ends_once() {
    if !can_run() {
        return;
    }
    let place = Place::new().await;
    let sandbox = place.sandbox("attach").await;
    let mut config = script("main", "cat; echo done; echo last >&2");
    config.stdin = true;
    config.stdin_once = true;
    let id = place.start(&sandbox, config).await;
    let request = ExecRequest { stdin: true, stdout: true, stderr: true, ..ExecRequest::default() };
    let watcher = ExecRequest { stdin: false, ..request.clone() };
    let mut watching = place.runtime().attach(&id, watcher).await.unwrap();
    let mut streams = place.runtime().attach(&id, request).await.unwrap();
    let mut stdin = streams.stdin.take().unwrap();
    stdin.write_all(b"typed\n").await.unwrap();
    stdin.shutdown().await.unwrap();
    let (out, err) = tokio::join!(all(streams.stdout.take()), all(streams.stderr.take()));
    assert_eq!((out.as_str(), err.as_str()), ("typed\ndone\n", "last\n"));
    assert_eq!(all(watching.stdout.take()).await, "typed\ndone\n");
    assert_eq!(timeout(PATIENCE, streams.exit).await.unwrap().unwrap().unwrap(), 0);
    let gone = place.runtime().attach(&id, ExecRequest { stdout: true, ..Default::default() }).await;
    assert_eq!(gone.err().unwrap().kind, RuntimeErrorKind::NotFound);
    place.runtime().remove_sandbox(&sandbox).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_of_a_pod_are_reached_from_the_node() {
    if !can_run() {
        return;
    }
    let place = Place::new().await;
    let sandbox = place.sandbox("ports").await;
    let pid = place.runtime().sandboxes().await.unwrap()[0].pause_pid;
    // A listener inside the pod's network namespace, which the node's own does not have.
    let (tell, port) = tokio::sync::oneshot::channel();
    let server = std::thread::spawn(move || {
        use std::os::fd::AsFd;
        let space = std::fs::File::open(format!("/proc/{pid}/ns/net")).unwrap();
        let kind = rustix::thread::LinkNameSpaceType::Network;
        rustix::thread::move_into_link_name_space(space.as_fd(), Some(kind)).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        tell.send(listener.local_addr().unwrap().port()).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        std::io::copy(&mut stream.try_clone().unwrap(), &mut stream).unwrap();
    });
    let port = port.await.unwrap();
    let mut io = place.runtime().port_forward(&sandbox, port).await.unwrap();
    io.write_all(b"ping").await.unwrap();
    let mut back = [0; 4];
    timeout(PATIENCE, io.read_exact(&mut back)).await.unwrap().unwrap();
    assert_eq!(&back, b"ping");
    drop(io);
    server.join().unwrap();
    let error = place.runtime().port_forward(&sandbox, port).await.err().unwrap();
    assert!(error.message.contains("inside the pod"), "{error}");
    place.runtime().remove_sandbox(&sandbox).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_rotate_limits_change_and_numbers_are_read() {
    if !can_run() {
        return;
    }
    let place = Place::new().await;
    let sandbox = place.sandbox("numbers").await;
    let mut events = place.runtime().events();
    let mut config =
        script("main", "n=0; while :; do n=$((n+1)); echo line $n; touch /made; sleep 0.01; done");
    config.resources = Resources {
        memory_limit: Some(64 << 20),
        cpu_shares: Some(512),
        cpu_quota: Some(50_000),
        cpu_period: Some(100_000),
        pids_limit: Some(50),
        ..Resources::default()
    };
    let id = place.start(&sandbox, config).await;
    let kinds: Vec<_> =
        [events.recv().await.unwrap(), events.recv().await.unwrap()].map(|event| event.kind).into();
    assert_eq!(kinds, [RuntimeEventKind::Created, RuntimeEventKind::Started]);
    let status = place.runtime().container(&id).await.unwrap();
    let log = std::path::Path::new(&status.log_path);
    let old = log.with_extension("old");
    std::fs::rename(log, &old).unwrap();
    place.runtime().reopen_log(&id).await.unwrap();
    let began = std::time::Instant::now();
    while !log.exists() || std::fs::metadata(log).unwrap().len() == 0 {
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (first, second) = (std::fs::read_to_string(old).unwrap(), std::fs::read_to_string(log).unwrap());
    let lines = texts(&format!("{first}{second}"));
    let numbers: Vec<u32> =
        lines.lines().map(|line| line.strip_prefix("line ").unwrap().parse().unwrap()).collect();
    assert!(numbers.iter().zip(1..).all(|(line, want)| *line == want), "no line is lost: {numbers:?}");

    let group = place.group_folder("memory").join("kubepods/pod-numbers").join(&id.0);
    let limit = |file: &str| std::fs::read_to_string(group.join(file)).map(|text| text.trim().to_owned());
    if let Ok(bytes) = limit("memory.limit_in_bytes") {
        assert_eq!(bytes, (64 << 20).to_string());
        let more = Resources { memory_limit: Some(96 << 20), ..Resources::default() };
        place.runtime().update_resources(&id, more).await.unwrap();
        assert_eq!(limit("memory.limit_in_bytes").unwrap(), (96 << 20).to_string());
        let cpu = place.group_folder("cpu").join("kubepods/pod-numbers").join(&id.0);
        assert_eq!(std::fs::read_to_string(cpu.join("cpu.cfs_quota_us")).unwrap().trim(), "50000");
    }
    assert_eq!(place.runtime().container(&id).await.unwrap().config.resources.cpu_shares, Some(512));
    let stats = place.runtime().stats().await.unwrap();
    let one = &stats[0].containers[0];
    assert_eq!(one.id.as_ref(), Some(&id));
    assert!(one.cpu_nanos > 0 && one.memory_usage > 0 && one.pids >= 1 && one.log_bytes > 0, "{one:?}");
    assert!(one.rootfs.1 >= 1, "the made file is counted: {one:?}");
    assert!(stats[0].total.memory_usage >= one.memory_usage / 2, "{stats:?}");
    let images = place.runtime().image_filesystem().await.unwrap();
    assert!(images.used_bytes > 0 && images.capacity_bytes > images.available_bytes);
    place.runtime().remove_sandbox(&sandbox).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_share_what_they_ask_to_share() {
    if !can_run() {
        return;
    }
    let place = Place::new().await;
    let mut config = place.sandbox_config("shared");
    config.namespaces.shared_pid = true;
    config.sysctls.insert("net.ipv4.ip_local_port_range".into(), "20000 30000".into());
    let sandbox = place.runtime().run_sandbox(config).await.unwrap();
    let one = place.start(&sandbox, script("one", "cat /proc/1/comm; sleep 4321")).await;
    let two = place.start(&sandbox, script("two", "sleep 1000")).await;
    let (_, list) = place
        .say(&two, "for p in /proc/[0-9]*; do cat $p/cmdline 2>/dev/null; echo; done; cat /proc/1/comm")
        .await;
    assert!(list.contains("4321") && list.contains("pause"), "{list}");
    assert_eq!(place.say(&two, "cat /proc/sys/net/ipv4/ip_local_port_range").await.1, "20000\t30000");
    let (code, _) = place.say(&two, "ls /proc/1/root").await;
    assert_ne!(code, 0, "the pause process cannot be looked into");
    place.runtime().stop_container(&one, Duration::ZERO).await.unwrap();
    let target = place.start(
        &sandbox,
        ContainerConfig {
            target_pid_of: Some(two.clone()),
            ..script("debug", "cat /proc/1/comm; sleep 1000")
        },
    );
    target.await;

    let mut config = place.sandbox_config("host");
    config.namespaces.host_network = true;
    config.namespaces.host_pid = true;
    config.namespaces.host_ipc = true;
    config.hostname = String::new();
    let host = place.runtime().run_sandbox(config).await.unwrap();
    let mut all = script("main", "sleep 1000");
    all.security.privileged = true;
    let id = place.start(&host, all).await;
    let pid = place.runtime().container(&id).await.unwrap().pid;
    for kind in ["net", "pid", "ipc", "uts"] {
        let space = |pid: u32| std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
        assert_eq!(space(pid), space(std::process::id()), "{kind}");
    }
    let (_, devices) = place.say(&id, "ls /dev").await;
    assert!(devices.lines().count() > 15, "{devices}");
    for sandbox in [sandbox, host] {
        place.runtime().remove_sandbox(&sandbox).await.unwrap();
    }
}
