//! Numbered channels in messages: pure.
//!
//! A binary message starts with the channel's number as a byte; a message of the base64 protocols is text, starts with
//! the number as a digit, and the rest is base64. In v5 a message `255, n` closes channel `n`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// The client's input.
pub const CHANNEL_STDIN: u8 = 0;
/// The process's output.
pub const CHANNEL_STDOUT: u8 = 1;
/// The process's error output.
pub const CHANNEL_STDERR: u8 = 2;
/// The outcome, a `Status` from v4 on.
pub const CHANNEL_ERROR: u8 = 3;
/// Terminal sizes from the client, as JSON.
pub const CHANNEL_RESIZE: u8 = 4;
/// v5: the second byte names a channel that ends.
pub const CHANNEL_CLOSE: u8 = 255;
/// Channels there are.
const CHANNELS: u8 = 5;

/// A message that the protocol does not allow. The connection should be closed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChannelError {
    /// No such channel in this protocol.
    #[error("WebSocket: there is no channel {channel}")]
    NoSuchChannel {
        /// What came.
        channel: u8,
    },
    /// Text where binary is spoken or the other way round, or base64 that is none.
    #[error("WebSocket: message of the wrong form: {reason}")]
    WrongForm {
        /// What is wrong.
        reason: &'static str,
    },
}

/// What a message means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelEvent {
    /// Bytes of a channel. The first message of each channel may be empty: upstream's way of saying that it is open.
    Data {
        /// Which.
        channel: u8,
        /// Possibly empty.
        data: Bytes,
    },
    /// The peer ended a channel (v5).
    Closed {
        /// Which.
        channel: u8,
    },
    /// The peer ended the connection.
    End,
    /// Pings and pongs, which the WebSocket library answers.
    Nothing,
}

/// The remote command subprotocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelProtocol {
    /// `v5.channel.k8s.io`: v4 and the closing of channels.
    V5,
    /// `v4.channel.k8s.io`
    V4,
    /// `v4.base64.channel.k8s.io`
    V4Base64,
    /// `channel.k8s.io`, also without a name: the outcome is plain text and there is no resizing.
    V1,
    /// `base64.channel.k8s.io`
    V1Base64,
}

impl ChannelProtocol {
    /// Names of all protocols and the protocols, the best first. The empty name is a client that asks for none.
    pub const NAMES: [(&'static str, Self); 6] = [
        ("v5.channel.k8s.io", Self::V5),
        ("v4.channel.k8s.io", Self::V4),
        ("v4.base64.channel.k8s.io", Self::V4Base64),
        ("channel.k8s.io", Self::V1),
        ("base64.channel.k8s.io", Self::V1Base64),
        ("", Self::V1),
    ];

    /// By name.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(found, _)| *found == name).map(|(_, protocol)| *protocol)
    }

    /// Whether the outcome is a `Status` as JSON (otherwise plain text).
    pub fn has_status(self) -> bool {
        !matches!(self, Self::V1 | Self::V1Base64)
    }

    fn is_base64(self) -> bool {
        matches!(self, Self::V4Base64 | Self::V1Base64)
    }

    /// A message to an event.
    pub fn decode(self, message: Message) -> Result<ChannelEvent, ChannelError> {
        match message {
            Message::Binary(bytes) => match self.is_base64() {
                true => Err(ChannelError::WrongForm { reason: "a base64 protocol speaks text" }),
                false => self.binary(bytes),
            },
            Message::Text(text) => match self.is_base64() {
                true => self.text(&text),
                // Upstream takes text for binary here as well.
                false => self.binary(Bytes::from(text)),
            },
            Message::Close(_) => Ok(ChannelEvent::End),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(ChannelEvent::Nothing),
        }
    }

    /// Bytes of a channel to a message.
    pub fn encode(self, channel: u8, data: &[u8]) -> Message {
        if self.is_base64() {
            let mut text = String::with_capacity(1 + data.len().div_ceil(3) * 4);
            text.push(char::from(b'0' + channel.min(9)));
            STANDARD.encode_string(data, &mut text);
            return Message::Text(Utf8Bytes::from(text));
        }
        let mut bytes = BytesMut::with_capacity(1 + data.len());
        bytes.put_u8(channel);
        bytes.put_slice(data);
        Message::Binary(bytes.freeze())
    }

    /// The end of a channel, where the protocol can say it.
    pub fn encode_close(self, channel: u8) -> Option<Message> {
        (self == Self::V5).then(|| Message::Binary(Bytes::copy_from_slice(&[CHANNEL_CLOSE, channel])))
    }

    fn binary(self, mut bytes: Bytes) -> Result<ChannelEvent, ChannelError> {
        let Some(channel) = bytes.first().copied() else { return Ok(ChannelEvent::Nothing) };
        let data = bytes.split_off(1);
        if channel == CHANNEL_CLOSE && self == Self::V5 {
            return match data.as_ref() {
                [closed] => self.known(*closed).map(|channel| ChannelEvent::Closed { channel }),
                _ => Err(ChannelError::WrongForm { reason: "a close names one channel" }),
            };
        }
        Ok(ChannelEvent::Data { channel: self.known(channel)?, data })
    }

    fn text(self, text: &str) -> Result<ChannelEvent, ChannelError> {
        let Some((digit, rest)) = text.as_bytes().split_first() else { return Ok(ChannelEvent::Nothing) };
        let channel = self.known(digit.wrapping_sub(b'0'))?;
        let data =
            STANDARD.decode(rest).map_err(|_| ChannelError::WrongForm { reason: "it is not base64" })?;
        Ok(ChannelEvent::Data { channel, data: data.into() })
    }

    fn known(self, channel: u8) -> Result<u8, ChannelError> {
        match channel < CHANNELS {
            true => Ok(channel),
            false => Err(ChannelError::NoSuchChannel { channel }),
        }
    }
}

#[cfg(test)]
mod tests {
    use trireme_core::Rng;

    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_in_every_protocol() {
        for (name, protocol) in ChannelProtocol::NAMES {
            for data in [&b""[..], b"x", &[0, 255, 10]] {
                let event = protocol.decode(protocol.encode(CHANNEL_STDOUT, data)).unwrap();
                let data = Bytes::copy_from_slice(data);
                assert_eq!(event, ChannelEvent::Data { channel: CHANNEL_STDOUT, data }, "{name}");
            }
        }
        assert_eq!(ChannelProtocol::V4Base64.encode(2, b"hi"), Message::text("2aGk="));
        assert_eq!(ChannelProtocol::V5.encode(1, b"hi"), Message::binary(&b"\x01hi"[..]));
    }

    #[test]
    fn only_v5_closes_channels() {
        let close = Message::binary(&b"\xff\x00"[..]);
        assert_eq!(ChannelProtocol::V5.decode(close.clone()), Ok(ChannelEvent::Closed { channel: 0 }));
        assert_eq!(ChannelProtocol::V5.encode_close(0), Some(close.clone()));
        assert_eq!(ChannelProtocol::V4.decode(close), Err(ChannelError::NoSuchChannel { channel: 255 }));
        assert_eq!(ChannelProtocol::V4.encode_close(0), None);
        assert!(ChannelProtocol::V5.decode(Message::binary(&b"\xff"[..])).is_err());
        assert!(ChannelProtocol::V5.decode(Message::binary(&b"\xff\x09"[..])).is_err());
    }

    #[test]
    fn wrong_forms_are_refused_by_name() {
        assert!(ChannelProtocol::V4Base64.decode(Message::binary(&b"1aGk="[..])).is_err());
        assert!(ChannelProtocol::V4Base64.decode(Message::text("1a!")).is_err());
        assert!(ChannelProtocol::V4Base64.decode(Message::text("/aGk=")).is_err());
        assert_eq!(ChannelProtocol::V5.decode(Message::binary(&b""[..])), Ok(ChannelEvent::Nothing));
        assert_eq!(ChannelProtocol::V5.decode(Message::Close(None)), Ok(ChannelEvent::End));
    }

    /// Random messages: an event for a channel that exists, or a typed refusal.
    #[test]
    fn random_messages_do_no_harm() {
        let mut rng = Rng::new(7);
        for _ in 0..20_000 {
            let length = usize::try_from(rng.below(12)).unwrap();
            let bytes: Vec<u8> = (0..length).map(|_| u8::try_from(rng.below(256)).unwrap()).collect();
            let index = rng.index(ChannelProtocol::NAMES.len()).unwrap();
            let protocol = ChannelProtocol::NAMES[index].1;
            let text: String = bytes.iter().map(|byte| char::from(byte & 0x7f)).collect();
            for message in [Message::binary(bytes), Message::text(text)] {
                match protocol.decode(message) {
                    Ok(ChannelEvent::Data { channel, .. } | ChannelEvent::Closed { channel }) => {
                        assert!(channel < CHANNELS);
                    }
                    Ok(ChannelEvent::Nothing | ChannelEvent::End) | Err(_) => {}
                }
            }
        }
    }
}
