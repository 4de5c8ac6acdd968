//! The shim: one small process per pod that outlives trireme and keeps its containers.
//!
//! Single-threaded (it forks), a session of its own, the reaper of all orphans of its pod. It is told everything over
//! its socket and decides nothing; ends are written to disk before anybody is told, so a runtime that is away misses
//! nothing. It ends when asked to ([`protocol::Request::Shutdown`]). Killed, it takes no container along; the runtime
//! then ends the pod's processes through their cgroup, because nobody could tell how they end.

pub(crate) mod children;
pub(crate) mod console;
pub(crate) mod log;
pub(crate) mod process;
pub(crate) mod protocol;
pub(crate) mod server;
pub(crate) mod spec;
mod streams;

use std::io::Write;
use std::path::Path;

use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{LocalSet, spawn_local};
use trireme_node::RuntimeError;

use crate::fail::{OrFail, Outcome, unavailable};
use crate::image::files::write_atomically;
use crate::low::sys;
use crate::shim::children::Children;
use crate::shim::server::Server;
use crate::shim::spec::SandboxSpec;

/// File with a shim's process id, in its sandbox' folder.
pub(crate) const PID_FILE: &str = "shim.pid";
/// Word on standard output when the sandbox stands.
pub(crate) const READY: &str = "ready";

/// Runs a shim until it is asked to end: what `trireme shim SPEC` does. Call it before any thread is started.
///
/// Says `ready <pause pid>` or `failed <why>` on standard output, once.
///
/// # Errors
/// The sandbox cannot be made; the text was said on standard output too.
pub fn run_shim(spec: &Path) -> Result<(), RuntimeError> {
    let outcome = prepare(spec).and_then(|spec| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.or_fail(|| "cannot start the shim's loop".into())?;
        LocalSet::new().block_on(&runtime, serve(spec))
    });
    if let Err(error) = &outcome {
        say(&format!("failed {}", error.message.replace('\n', " ")));
    }
    outcome
}

fn prepare(path: &Path) -> Outcome<SandboxSpec> {
    // Its own session: no terminal's interrupt reaches it. A leader of one already is as good.
    let _ = rustix::process::setsid();
    std::env::set_current_dir("/").or_fail(|| "cannot enter /".into())?;
    sys::prctl(libc::PR_SET_CHILD_SUBREAPER, 1).or_fail(|| "cannot become a reaper".into())?;
    sys::set_name(c"trireme-shim");
    // Without the privilege the score stays, and only a machine out of memory would notice.
    let _ = std::fs::write("/proc/self/oom_score_adj", "-998");
    let bytes = std::fs::read(path).or_fail(|| format!("cannot read {}", path.display()))?;
    let spec: SandboxSpec =
        serde_json::from_slice(&bytes).or_fail(|| format!("{} is damaged", path.display()))?;
    // Where a runtime that was killed meanwhile finds it; one that has cleaned up already has taken the folder away.
    write_atomically(&spec.folder.join(PID_FILE), std::process::id().to_string().as_bytes())?;
    Ok(spec)
}

async fn serve(spec: SandboxSpec) -> Outcome<()> {
    let children = Children::default();
    let mut ended = signal(SignalKind::child()).or_fail(|| "cannot hear of ended children".into())?;
    let reaper = children.clone();
    spawn_local(async move {
        while ended.recv().await.is_some() {
            reaper.reap();
        }
    });
    let pause = process::start_pause(&children, &spec).await.map_err(unavailable)?;
    let pid = pause.pid;
    let socket = spec.socket.clone();
    // One left over from before a crash of the machine.
    let _ = std::fs::remove_file(&socket);
    let listener =
        UnixListener::bind(&socket).or_fail(|| format!("cannot listen at {}", socket.display()))?;
    let server = Server::new(spec, children, pause);
    say(&format!("{READY} {pid}"));
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(spawn_local(server.clone().serve(stream))),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            },
            () = server.over.notified() => break,
        }
    }
    let _ = std::fs::remove_file(&socket);
    Ok(())
}

fn say(line: &str) {
    let mut out = std::io::stdout();
    // Whoever started it may be gone; the shim serves whoever comes.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    if let Ok(null) = std::fs::File::options().write(true).open("/dev/null") {
        use std::os::fd::AsFd;
        let _ = sys::duplicate_to(null.as_fd(), 1);
    }
}
