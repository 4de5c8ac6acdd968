//! [`Console`]: a process' standard streams: read without pause, logged, copied to whoever is attached.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use time::OffsetDateTime;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_local;

use crate::low::sys;
use crate::shim::log::{CriLog, Stream};
use crate::shim::protocol::CHUNK_BYTES;

/// Chunks that wait for one attached client; a slow one holds the process back, as a pipe does.
const CLIENT_CHUNKS_LIMIT: usize = 16;
/// Attached clients of one process.
const CLIENTS_LIMIT: usize = 64;

/// Output of a process.
pub(crate) type Output = (Stream, Vec<u8>);

struct Inner {
    log: Option<CriLog>,
    clients: Vec<mpsc::Sender<Output>>,
    input: Option<Rc<AsyncFd<OwnedFd>>>,
    terminal: Option<Rc<AsyncFd<OwnedFd>>>,
    /// Streams that are still read.
    open: watch::Sender<usize>,
}

/// Standard streams of a process.
#[derive(Clone)]
pub(crate) struct Console(Rc<RefCell<Inner>>);

impl Console {
    pub(crate) fn new(log: Option<CriLog>) -> Self {
        let (open, _) = watch::channel(0);
        Self(Rc::new(RefCell::new(Inner { log, clients: Vec::new(), input: None, terminal: None, open })))
    }

    /// Begins to read a stream.
    pub(crate) fn read(&self, stream: Stream, from: OwnedFd) -> io::Result<()> {
        let from = Rc::new(sys::watched(from)?);
        self.read_shared(stream, from);
        Ok(())
    }

    /// A terminal is both input and output.
    pub(crate) fn use_terminal(&self, terminal: OwnedFd, input: bool) -> io::Result<()> {
        let terminal = Rc::new(sys::watched(terminal)?);
        self.0.borrow_mut().terminal = Some(terminal.clone());
        if input {
            self.0.borrow_mut().input = Some(terminal.clone());
        }
        self.read_shared(Stream::Stdout, terminal);
        Ok(())
    }

    pub(crate) fn use_input(&self, input: OwnedFd) -> io::Result<()> {
        self.0.borrow_mut().input = Some(Rc::new(sys::watched(input)?));
        Ok(())
    }

    fn read_shared(&self, stream: Stream, from: Rc<AsyncFd<OwnedFd>>) {
        self.0.borrow().open.send_modify(|open| *open += 1);
        let console = self.clone();
        spawn_local(async move {
            let mut chunk = vec![0; CHUNK_BYTES];
            // A terminal says EIO when its last process is gone.
            while let Ok(count) = read(&from, &mut chunk).await
                && count > 0
            {
                console.took(stream, &chunk[..count]).await;
            }
            console.ended(stream);
        });
    }

    async fn took(&self, stream: Stream, bytes: &[u8]) {
        let clients = {
            let mut inner = self.0.borrow_mut();
            if let Some(log) = &mut inner.log {
                log.take(stream, bytes, OffsetDateTime::now_utc());
            }
            inner.clients.retain(|client| !client.is_closed());
            inner.clients.clone()
        };
        for client in clients {
            // One that left meanwhile is taken off next time.
            let _ = client.send((stream, bytes.to_vec())).await;
        }
    }

    fn ended(&self, stream: Stream) {
        let mut inner = self.0.borrow_mut();
        if let Some(log) = &mut inner.log {
            log.end(stream, OffsetDateTime::now_utc());
            if log.lost() > 0 {
                tracing::warn!(lines = log.lost(), "log lines were lost: the log file could not be written");
            }
        }
        inner.open.send_modify(|open| *open -= 1);
        if *inner.open.borrow() == 0 {
            inner.clients.clear();
        }
    }

    /// Waits until all streams have ended.
    pub(crate) async fn drained(&self) {
        let mut open = self.0.borrow().open.subscribe();
        // The sender lives in this console.
        let _ = open.wait_for(|open| *open == 0).await;
    }

    /// Gives streams up that did not end by themselves.
    pub(crate) fn close(&self) {
        let mut inner = self.0.borrow_mut();
        inner.clients.clear();
        inner.input = None;
    }

    /// Output from now on; `None` above the limit of clients.
    pub(crate) fn attach(&self) -> Option<mpsc::Receiver<Output>> {
        let mut inner = self.0.borrow_mut();
        inner.clients.retain(|client| !client.is_closed());
        if inner.clients.len() >= CLIENTS_LIMIT {
            return None;
        }
        let (client, output) = mpsc::channel(CLIENT_CHUNKS_LIMIT);
        if *inner.open.borrow() > 0 {
            inner.clients.push(client);
        }
        Some(output)
    }

    /// Output from the first byte on: for a console that reads nothing yet.
    pub(crate) fn attach_early(&self) -> mpsc::Receiver<Output> {
        let (client, output) = mpsc::channel(CLIENT_CHUNKS_LIMIT);
        self.0.borrow_mut().clients.push(client);
        output
    }

    /// Hands input over; what nobody reads waits, without input it is dropped.
    pub(crate) async fn write_input(&self, bytes: &[u8]) -> io::Result<()> {
        let input = self.0.borrow().input.clone();
        let Some(input) = input else { return Ok(()) };
        let mut rest = bytes;
        while !rest.is_empty() {
            let mut ready = input.writable().await?;
            match ready.try_io(|fd| Ok(rustix::io::write(fd.get_ref(), rest)?)) {
                Ok(Ok(count)) => rest = &rest[count..],
                Ok(Err(error)) => return Err(error),
                Err(_not_ready) => {}
            }
        }
        Ok(())
    }

    /// Ends the input. A terminal is told by its end-of-file character.
    pub(crate) async fn end_input(&self) {
        const END_OF_FILE: u8 = 4;
        if self.0.borrow().terminal.is_some() {
            // A process that is gone needs none.
            let _ = self.write_input(&[END_OF_FILE]).await;
            return;
        }
        self.0.borrow_mut().input = None;
    }

    pub(crate) fn resize(&self, width: u16, height: u16) {
        if let Some(terminal) = &self.0.borrow().terminal
            && let Err(error) = sys::resize(terminal.get_ref().as_fd(), width, height)
        {
            tracing::debug!(%error, "cannot resize a terminal");
        }
    }

    pub(crate) fn reopen_log(&self) -> io::Result<()> {
        self.0.borrow_mut().log.as_mut().map_or(Ok(()), CriLog::reopen)
    }
}

async fn read(from: &AsyncFd<OwnedFd>, chunk: &mut [u8]) -> io::Result<usize> {
    loop {
        let mut ready = from.readable().await?;
        match ready.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut *chunk)?)) {
            Ok(done) => return done,
            Err(_not_ready) => {}
        }
    }
}
