//! Content negotiation as the stock API server does it: pure, no hyper, no I/O.
//!
//! `Accept` picks a format and, by its parameters `as`, `v` and `g`, a shape (Table, PartialObjectMetadata);
//! `Content-Type` names the format of a body or the kind of a patch; `Accept-Encoding` allows gzip. What is not built is
//! refused by name.

mod accept;
mod content_type;
mod encoding;
mod media_range;

pub use accept::{Accepted, NotAcceptable, Target, negotiate_accept};
pub use content_type::{Format, PatchKind, UnsupportedMediaType, body_format, patch_kind};
pub use encoding::{GZIP_LEVEL, GZIP_THRESHOLD_BYTES, accepts_gzip, gzip, gzip_wanted};
pub use media_range::{HEADER_LIMIT_BYTES, RANGES_LIMIT};
