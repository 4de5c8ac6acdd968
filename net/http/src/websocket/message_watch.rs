//! A watch over a WebSocket: one message for each event.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::web_socket_config;
use crate::body::FrameReceiver;

/// Form of the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// JSON events.
    Text,
    /// Events in a binary format.
    Binary,
}

/// Sends every frame as a message until the producer ends, which closes the connection, or the client goes, which the
/// producer sees in its [`crate::FrameSender`]. What the client sends is ignored, as upstream does.
pub async fn serve_watch_messages<T>(io: T, mut frames: FrameReceiver, kind: MessageKind)
where
    T: AsyncRead + AsyncWrite + Unpin + Send,
{
    let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(web_socket_config())).await;
    let (mut sink, mut stream) = socket.split();
    loop {
        let outcome = tokio::select! {
            frame = frames.next_frame() => match frame {
                Some(frame) => sink.send(message(frame, kind)).await,
                None => {
                    // The client may be gone already; then there is nobody to tell.
                    drop(sink.close().await);
                    return;
                }
            },
            incoming = stream.next() => match incoming {
                None | Some(Ok(Message::Close(_))) => return,
                Some(Ok(_)) => sink.flush().await,
                Some(Err(error)) => Err(error),
            },
        };
        if let Err(error) = outcome {
            if !matches!(error, Error::ConnectionClosed | Error::AlreadyClosed) {
                tracing::debug!(%error, "watch over WebSocket broke");
            }
            return;
        }
    }
}

fn message(frame: Bytes, kind: MessageKind) -> Message {
    match kind {
        MessageKind::Binary => Message::Binary(frame),
        // Text must be UTF-8; JSON is. Anything else goes as it is rather than be lost.
        MessageKind::Text => match Utf8Bytes::try_from(frame.clone()) {
            Ok(text) => Message::Text(text),
            Err(_) => Message::Binary(frame),
        },
    }
}
