//! What a forked child and its parent say to each other before exec, terminals included.
//!
//! One sequenced-packet socket: its end (closed by exec) says that the program runs.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::{Deserialize, Serialize};

use crate::low::user::User;

/// Bytes of a note.
const NOTE_LIMIT_BYTES: usize = 60 * 1024;

/// From the child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Note {
    /// A terminal's near end comes along.
    Terminal,
    /// Who it is.
    User(User),
    /// It goes no further.
    Failed(String),
    /// It is where it wants to be (a pause process, which never execs).
    Ready,
}

/// Two ends: parent's, child's.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC;
    Ok(socketpair(rustix::net::AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

/// Says something.
pub(crate) fn say(to: impl AsFd, note: &Note, terminal: Option<&OwnedFd>) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(note).map_err(io::Error::other)?;
    bytes.truncate(NOTE_LIMIT_BYTES);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut along = SendAncillaryBuffer::new(&mut space);
    let fds = terminal.map(|terminal| [terminal.as_fd()]);
    if let Some(fds) = &fds {
        along.push(SendAncillaryMessage::ScmRights(fds));
    }
    sendmsg(to, &[IoSlice::new(&bytes)], &mut along, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Hears something; `None` at the end. Does not wait when the socket does not.
pub(crate) fn hear(from: impl AsFd) -> io::Result<Option<(Note, Option<OwnedFd>)>> {
    let mut bytes = vec![0; NOTE_LIMIT_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut along = RecvAncillaryBuffer::new(&mut space);
    let got = recvmsg(from, &mut [IoSliceMut::new(&mut bytes)], &mut along, RecvFlags::CMSG_CLOEXEC)?;
    if got.bytes == 0 {
        return Ok(None);
    }
    let mut terminal = None;
    for message in along.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            terminal = fds.into_iter().next().or(terminal);
        }
    }
    let note = serde_json::from_slice(&bytes[..got.bytes]).map_err(io::Error::other)?;
    Ok(Some((note, terminal)))
}
