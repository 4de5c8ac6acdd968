//! Inputs and effects of a [`super::SpdyConnection`].

use bytes::Bytes;

use super::error::SpdyError;
use super::header_block::Headers;

/// What a connection is told.
#[derive(Clone, Debug)]
pub enum SpdyInput {
    /// Bytes from the transport, in order.
    Received(Bytes),
    /// Open a stream; answered by [`SpdyEffect::Started`] with the same token, or by nothing after GOAWAY.
    Open {
        /// Chosen by the caller.
        token: u64,
        /// Lower-case names.
        headers: Headers,
    },
    /// Confirm a stream of the peer.
    Accept {
        /// From [`SpdyEffect::Incoming`].
        stream: u32,
    },
    /// Send bytes; [`SpdyEffect::Sent`] follows when they are on their way.
    Send {
        /// Which stream.
        stream: u32,
        /// Any length.
        data: Bytes,
    },
    /// Nothing more will be sent on the stream.
    Finish {
        /// Which stream.
        stream: u32,
    },
    /// End the stream in both directions.
    Reset {
        /// Which stream.
        stream: u32,
        /// `STATUS_*`
        status: u32,
    },
    /// Received bytes were taken by their reader.
    Consumed {
        /// Which stream.
        stream: u32,
        /// How many.
        bytes: usize,
    },
    /// No new streams; the connection will end.
    GoAway,
}

/// What a connection asks for and reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpdyEffect {
    /// Bytes for the transport, in order.
    Transmit(Bytes),
    /// The peer opened a stream. Accept or reset it.
    Incoming {
        /// Its number.
        stream: u32,
        /// Its headers.
        headers: Headers,
    },
    /// A stream opened here has its number.
    Started {
        /// From [`SpdyInput::Open`].
        token: u64,
        /// Its number.
        stream: u32,
    },
    /// The peer confirmed a stream opened here.
    Accepted {
        /// Which stream.
        stream: u32,
    },
    /// Bytes of a stream, in order.
    Data {
        /// Which stream.
        stream: u32,
        /// Never empty.
        data: Bytes,
    },
    /// The peer will send no more on the stream.
    Finished {
        /// Which stream.
        stream: u32,
    },
    /// The peer ended the stream.
    Reset {
        /// Which stream.
        stream: u32,
        /// The peer's status.
        status: u32,
    },
    /// Bytes of [`SpdyInput::Send`] were transmitted, or dropped with their stream.
    Sent {
        /// Which stream.
        stream: u32,
        /// How many.
        bytes: usize,
    },
    /// The peer will open no more streams.
    GoneAway,
    /// The connection is over; close the transport.
    Failed(SpdyError),
}
