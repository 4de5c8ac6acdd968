//! The first words on a connection: each side opens its control stream with a hello.

use super::transmit::open_class;
use crate::class::class_code;
use crate::frame::{Decoder, Frame, FrameError, Hello, PROTOCOL_VERSION};
use thiserror::Error;
use trireme_kernel::Class;

/// What the greeting leaves behind.
pub(crate) struct Greeted {
    pub(super) peer_instance: u64,
    pub(super) send: quinn::SendStream,
    pub(super) recv: quinn::RecvStream,
    pub(super) decoder: Decoder,
}

/// Why there was no greeting.
#[derive(Debug, Error)]
pub(crate) enum GreetError {
    #[error("connection lost: {0}")]
    Connection(#[from] quinn::ConnectionError),
    #[error("stream not written: {0}")]
    Write(#[from] quinn::WriteError),
    #[error("stream not read: {0}")]
    Read(#[from] quinn::ReadError),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("the stream ended before the hello")]
    Ended,
    #[error("the first frame is no hello")]
    NoHello,
    #[error("the first stream is of class code {0}, expected control")]
    WrongClass(u8),
    #[error("the peer speaks bus version {0}, this process {PROTOCOL_VERSION}; upgrade the older side")]
    Version(u16),
}

/// Says hello and waits for the peer's.
pub(crate) async fn greet(
    connection: &quinn::Connection,
    instance: u64,
    frame_limit: u32,
) -> Result<Greeted, GreetError> {
    let send = open_class(connection, Class::Control, instance).await?;
    let recv = connection.accept_uni().await?;
    let (hello, recv, decoder) = read_hello(recv, frame_limit).await?;
    if hello.class != class_code(Class::Control) {
        return Err(GreetError::WrongClass(hello.class));
    }
    Ok(Greeted { peer_instance: hello.instance, send, recv, decoder })
}

/// Reads the first frame of a stream, which must be a hello of our version.
pub(super) async fn read_hello(
    mut recv: quinn::RecvStream,
    frame_limit: u32,
) -> Result<(Hello, quinn::RecvStream, Decoder), GreetError> {
    // Most that is taken from a stream before its hello is known.
    const FIRST_READ_BYTES: usize = 16 * 1024;
    let mut decoder = Decoder::new(frame_limit);
    loop {
        if let Some(frame) = decoder.next_frame()? {
            let Frame::Hello(hello) = frame else { return Err(GreetError::NoHello) };
            if hello.version != PROTOCOL_VERSION {
                return Err(GreetError::Version(hello.version));
            }
            return Ok((hello, recv, decoder));
        }
        let chunk = recv.read_chunk(FIRST_READ_BYTES, true).await?.ok_or(GreetError::Ended)?;
        decoder.push(chunk.bytes);
    }
}
