//! Remote command streams over WebSocket channels, which are all open from the start.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

use super::streams::{ByteSink, ByteSource, RemoteCommand, WantedStreams};
use crate::handler::UpgradedIo;
use crate::websocket::{
    CHANNEL_ERROR, CHANNEL_RESIZE, CHANNEL_STDERR, CHANNEL_STDIN, CHANNEL_STDOUT, ChannelEvent,
    ChannelProtocol, web_socket_config,
};

/// Messages that wait for the command's input.
const INPUT_MESSAGES: usize = 16;
/// Messages that wait for the client.
const OUTPUT_MESSAGES: usize = 16;
/// How long the client may take to answer the closing handshake.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

type Socket = WebSocketStream<UpgradedIo>;

pub(super) async fn serve<F, T>(io: UpgradedIo, protocol: ChannelProtocol, wanted: WantedStreams, serve: F)
where
    F: FnOnce(RemoteCommand) -> T + Send,
    T: Future<Output = ()> + Send,
{
    let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(web_socket_config())).await;
    let (mut sink, mut stream) = socket.split();
    let (stdin_sender, stdin) = mpsc::channel(INPUT_MESSAGES);
    let (resize_sender, resize) = mpsc::channel(INPUT_MESSAGES);
    let (messages, mut outgoing) = mpsc::channel(OUTPUT_MESSAGES);
    let channel = |channel: u8| ByteSink::Channel { channel, messages: messages.clone() };
    let command = RemoteCommand {
        stdin: wanted.stdin.then_some(ByteSource::Channel(stdin)),
        resize: wanted.terminal.then_some(ByteSource::Channel(resize)),
        stdout: wanted.stdout.then(|| channel(CHANNEL_STDOUT)),
        stderr: (wanted.stderr && !wanted.terminal).then(|| channel(CHANNEL_STDERR)),
        error: channel(CHANNEL_ERROR),
        status_outcome: RemoteCommand::has_status(protocol),
    };
    drop(messages);
    let mut serve = pin!(serve(command));
    let mut input = pin!(take_input(&mut stream, protocol, stdin_sender, resize_sender));
    let mut output = pin!(send_output(&mut sink, protocol, &mut outgoing));
    let (mut served, mut sent) = (false, false);
    // The client's going ends everything; the command's end waits for what is still to be sent.
    while !(served && sent) {
        tokio::select! {
            () = &mut serve, if !served => served = true,
            gone = &mut output, if !sent => match gone {
                Ok(()) => sent = true,
                Err(()) => return,
            },
            () = &mut input => return,
        }
    }
    // The client answers the close, or is gone.
    drop(timeout(CLOSE_LIMIT, input).await);
}

/// Ends when the client is gone or breaks the protocol.
async fn take_input(
    stream: &mut SplitStream<Socket>,
    protocol: ChannelProtocol,
    stdin: mpsc::Sender<Bytes>,
    resize: mpsc::Sender<Bytes>,
) {
    let mut inputs = [Some(stdin), Some(resize)];
    let slot = |channel: u8| match channel {
        CHANNEL_STDIN => Some(0),
        CHANNEL_RESIZE => Some(1),
        _ => None,
    };
    while let Some(Ok(message)) = stream.next().await {
        match protocol.decode(message) {
            Ok(ChannelEvent::Data { channel, data }) if !data.is_empty() => {
                let sender = slot(channel).and_then(|at| inputs.get(at)).and_then(Option::as_ref);
                if let Some(sender) = sender {
                    // A command that takes no more input discards it.
                    drop(sender.send(data).await);
                }
            }
            Ok(ChannelEvent::Closed { channel }) => {
                if let Some(input) = slot(channel).and_then(|at| inputs.get_mut(at)) {
                    *input = None;
                }
            }
            Ok(ChannelEvent::Data { .. } | ChannelEvent::Nothing) => {}
            Ok(ChannelEvent::End) => return,
            Err(error) => {
                tracing::debug!(%error, "remote command over WebSocket");
                return;
            }
        }
    }
}

/// Ends with `Ok` when every sink is gone and the closing handshake is on its way, with `Err` when the client is gone.
async fn send_output(
    sink: &mut SplitSink<Socket, Message>,
    protocol: ChannelProtocol,
    outgoing: &mut mpsc::Receiver<(u8, Option<Bytes>)>,
) -> Result<(), ()> {
    while let Some((channel, data)) = outgoing.recv().await {
        // Clients do not know the close of a channel in this direction: they complain about channel 255.
        if let Some(data) = data {
            sink.send(protocol.encode(channel, &data)).await.map_err(drop)?;
        }
    }
    let normal = CloseFrame { code: CloseCode::Normal, reason: Default::default() };
    sink.send(Message::Close(Some(normal))).await.map_err(drop)
}
