//! Starting processes: fork, and hearing what becomes of the child until it execs.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::pipe::{PipeFlags, pipe_with};

use crate::low::init::Standard;
use crate::low::terminal::{self, Note};
use crate::low::user::User;
use crate::low::{enter, init, pause, sys};
use crate::shim::children::{Child, Children, Space};
use crate::shim::console::Console;
use crate::shim::log::Stream;
use crate::shim::spec::{ContainerSpec, PidSpace, ProcessSpec, SandboxSpec};

/// Streams' ends that the shim keeps.
#[derive(Default)]
struct Kept {
    input: Option<OwnedFd>,
    output: Option<OwnedFd>,
    error: Option<OwnedFd>,
}

/// A process that runs its program.
pub(crate) struct Started {
    pub(crate) child: Rc<Child>,
    pub(crate) user: User,
}

/// Starts the pause process.
pub(crate) async fn start_pause(children: &Children, spec: &SandboxSpec) -> Result<Child, String> {
    let (own, theirs) = terminal::pair().map_err(|error| format!("cannot make a socket: {error}"))?;
    let space = if spec.host_pid { Space::Same } else { Space::New };
    let child = children.fork(space, move || pause::run(spec, theirs));
    let child = child.map_err(|error| format!("cannot start the pause process: {error}"))?;
    match listen(own, |_| Ok(())).await? {
        Heard { ready: true, .. } => Ok(child),
        Heard { .. } => Err("the pause process died before it was ready".to_owned()),
    }
}

/// Starts a container's first process.
pub(crate) async fn start_container(
    children: &Children,
    spec: &ContainerSpec,
    pause: &Child,
    of: Option<&Child>,
    console: &Console,
) -> Result<Started, String> {
    let (standard, kept) = pipes(&spec.process, spec.stdin, true, true).map_err(|error| error.to_string())?;
    let space = match (&spec.pid, of) {
        (PidSpace::Own, _) => Space::New,
        (PidSpace::Host, _) => Space::Same,
        (PidSpace::Sandbox, _) => Space::Of(&pause.handle),
        (PidSpace::Container(_), Some(of)) => Space::Of(&of.handle),
        (PidSpace::Container(id), None) => return Err(format!("the target container {id} is not running")),
    };
    let run = |theirs| {
        use std::os::fd::AsFd;
        init::run(spec, pause.handle.as_fd(), standard, theirs)
    };
    begin(children, space, run, kept, console, spec.stdin).await
}

/// Starts a further process in a container.
pub(crate) async fn start_exec(
    children: &Children,
    process: &ProcessSpec,
    target: &Child,
    procs: &[std::path::PathBuf],
    wanted: (bool, bool, bool),
    console: &Console,
) -> Result<Started, String> {
    let (standard, kept) = pipes(process, wanted.0, wanted.1, wanted.2).map_err(|error| error.to_string())?;
    let run = |theirs| {
        use std::os::fd::AsFd;
        enter::run(process, target.handle.as_fd(), procs, standard, theirs)
    };
    begin(children, Space::Of(&target.handle), run, kept, console, wanted.0).await
}

async fn begin(
    children: &Children,
    space: Space<'_>,
    run: impl FnOnce(OwnedFd),
    kept: Kept,
    console: &Console,
    input: bool,
) -> Result<Started, String> {
    let (own, theirs) = terminal::pair().map_err(|error| format!("cannot make a socket: {error}"))?;
    let child = {
        let child = children.fork(space, move || run(theirs));
        Rc::new(child.map_err(|error| format!("cannot fork: {error}"))?)
    };
    let shown = |error: io::Error| format!("cannot use the standard streams: {error}");
    if let Some(output) = kept.output {
        console.read(Stream::Stdout, output).map_err(shown)?;
    }
    if let Some(error) = kept.error {
        console.read(Stream::Stderr, error).map_err(shown)?;
    }
    if let Some(input) = kept.input {
        console.use_input(input).map_err(shown)?;
    }
    let heard = listen(own, |terminal| console.use_terminal(terminal, input)).await?;
    // After exec the socket is closed without another word.
    Ok(Started { child, user: heard.user.unwrap_or_default() })
}

struct Heard {
    ready: bool,
    user: Option<User>,
}

async fn listen(own: OwnedFd, mut take: impl FnMut(OwnedFd) -> io::Result<()>) -> Result<Heard, String> {
    let shown = |error: io::Error| format!("cannot hear from a new process: {error}");
    let own = sys::watched(own).map_err(shown)?;
    let mut heard = Heard { ready: false, user: None };
    loop {
        let mut ready = own.readable().await.map_err(shown)?;
        let note = match ready.try_io(|fd| terminal::hear(fd.get_ref())) {
            Ok(note) => note.map_err(shown)?,
            Err(_not_ready) => continue,
        };
        match note {
            Some((Note::Terminal, Some(terminal))) => take(terminal).map_err(shown)?,
            Some((Note::Terminal, None)) => return Err("a terminal did not come along".to_owned()),
            Some((Note::User(user), _)) => heard.user = Some(user),
            Some((Note::Failed(failed), _)) => return Err(failed),
            Some((Note::Ready, _)) => {
                heard.ready = true;
                return Ok(heard);
            }
            None => return Ok(heard),
        }
    }
}

fn pipes(process: &ProcessSpec, input: bool, output: bool, error: bool) -> io::Result<(Standard, Kept)> {
    let (mut standard, mut kept) = (Standard::default(), Kept::default());
    if process.terminal {
        return Ok((standard, kept));
    }
    let flags = PipeFlags::CLOEXEC;
    if input {
        let (read, write) = pipe_with(flags)?;
        (standard.input, kept.input) = (Some(read), Some(write));
    }
    if output {
        let (read, write) = pipe_with(flags)?;
        (standard.output, kept.output) = (Some(write), Some(read));
    }
    if error {
        let (read, write) = pipe_with(flags)?;
        (standard.error, kept.error) = (Some(write), Some(read));
    }
    Ok((standard, kept))
}
