//! Request and response bodies.

mod frames;
mod reply_body;
mod request_body;

pub use frames::{COALESCE_LIMIT_BYTES, FrameReceiver, FrameSendError, FrameSender, frame_channel};
pub use reply_body::{ReplyBody, ReplyError};
pub use request_body::RequestBody;
