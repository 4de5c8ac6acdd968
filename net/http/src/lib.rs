//! The HTTPS front: sockets, TLS, HTTP/1.1 and HTTP/2, content negotiation, streaming answers, protocol upgrades and
//! proxying. An API server plugs in through [`Handler`]; this crate knows nothing of stores, actors or kinds.

mod body;
mod front;
mod handler;
mod limits;
pub mod negotiate;
pub mod proxy;
mod refusal;
pub mod remote_command;
pub mod spdy;
pub mod websocket;

pub use body::{
    COALESCE_LIMIT_BYTES, FrameReceiver, FrameSendError, FrameSender, ReplyBody, ReplyError, RequestBody,
    frame_channel,
};
pub use front::{Accepting, Acceptor, Counts, Front, FrontConfig, FrontError};
pub use handler::{Handler, Peer, PeerCertificateState, Reply, Request, Upgrade, UpgradeTask, UpgradedIo};
pub use limits::{GOAWAY_PER_MILLION_LIMIT, Limits};
pub use refusal::Refusal;
