//! Copying streams between a process and a client of the shim.

use std::io;
use std::rc::Rc;

use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use crate::low::sys;
use crate::shim::children::Child;
use crate::shim::console::{Console, Output};
use crate::shim::log::Stream;
use crate::shim::protocol::{Failure, FailureKind, Frame, Reply, read_frame, send, write_frame};
use crate::shim::server::{DRAIN, Server};

impl Server {
    /// Serves a client of a container's own streams.
    pub(super) async fn attach(
        &self,
        id: &str,
        wanted: (bool, bool, bool),
        mut from: OwnedReadHalf,
        to: &mut OwnedWriteHalf,
    ) -> io::Result<()> {
        let (child, _, console) = match self.need_running(id) {
            Ok(found) => found,
            Err(failure) => return send(to, &Reply::Failed(failure)).await,
        };
        let stdin_once = self.containers.borrow().get(id).is_some_and(|one| one.stdin_once);
        let Some(mut output) = console.attach() else {
            let text = format!("too many clients are attached to container {id}");
            return send(to, &Reply::Failed(Failure::new(FailureKind::Unavailable, text))).await;
        };
        send(to, &Reply::Streaming).await?;
        let input = console.clone();
        let reader = async move {
            let mut ended = false;
            while let Ok(Some(frame)) = read_frame(&mut from).await {
                match frame {
                    Frame::Stdin(bytes) if wanted.0 => drop(input.write_input(&bytes).await),
                    Frame::StdinEnd => ended = true,
                    Frame::Resize(width, height) => input.resize(width, height),
                    _ => {}
                }
                if ended && wanted.0 && stdin_once {
                    input.end_input().await;
                }
            }
            if wanted.0 && stdin_once && !ended {
                input.end_input().await;
            }
        };
        let writer = async {
            while let Some((stream, bytes)) = output.recv().await {
                if (stream == Stream::Stdout && wanted.1) || (stream == Stream::Stderr && wanted.2) {
                    write_frame(to, &frame_of(stream, bytes)).await?;
                }
            }
            write_frame(to, &Frame::Exit(child.ended().await.code)).await
        };
        tokio::select! {
            () = reader => Ok(()),
            done = writer => done,
        }
    }
}

fn frame_of(stream: Stream, bytes: Vec<u8>) -> Frame {
    match stream {
        Stream::Stdout => Frame::Stdout(bytes),
        Stream::Stderr => Frame::Stderr(bytes),
    }
}

/// Copies an exec'd process' streams; when its client leaves, the process is ended.
pub(super) async fn stream_exec(
    child: &Rc<Child>,
    console: &Console,
    mut output: tokio::sync::mpsc::Receiver<Output>,
    mut from: OwnedReadHalf,
    to: &mut OwnedWriteHalf,
) -> io::Result<()> {
    let input = console.clone();
    let reader = async move {
        loop {
            match read_frame(&mut from).await {
                Ok(Some(Frame::Stdin(bytes))) => drop(input.write_input(&bytes).await),
                Ok(Some(Frame::StdinEnd)) => input.end_input().await,
                Ok(Some(Frame::Resize(width, height))) => input.resize(width, height),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return,
            }
        }
    };
    let writer = async {
        let ended = child.ended();
        tokio::pin!(ended);
        let mut over = None;
        loop {
            tokio::select! {
                chunk = output.recv() => match chunk {
                    Some((stream, bytes)) => write_frame(to, &frame_of(stream, bytes)).await?,
                    None => break,
                },
                end = &mut ended, if over.is_none() => over = Some((end, tokio::time::Instant::now() + DRAIN)),
                () = wait_until(over.map(|(_, at)| at)) => break,
            }
        }
        let end = match over {
            Some((end, _)) => end,
            None => child.ended().await,
        };
        write_frame(to, &Frame::Exit(end.code)).await
    };
    let done = tokio::select! {
        () = reader => Ok(()),
        done = writer => done,
    };
    if !child.has_ended() {
        // The whole session of the program: it leads its own group.
        let _ = sys::kill(-child.pid, libc::SIGHUP);
        let _ = sys::kill(-child.pid, libc::SIGKILL);
        let _ = child.signal(libc::SIGKILL);
    }
    console.close();
    done
}

async fn wait_until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
