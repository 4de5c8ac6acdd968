//! What the front turns away by itself.

use http::StatusCode;
use thiserror::Error;

/// A request that does not reach the handler's business, or a body that cannot be had. The handler words the answer,
/// see [`crate::Handler::refuse`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Send a smaller object, or split it.
    #[error("request body is longer than {limit_bytes} bytes")]
    BodyTooLarge {
        /// The limit in force.
        limit_bytes: usize,
    },
    /// Send it again; the body stopped coming.
    #[error("request body did not arrive: nothing for {seconds} s")]
    BodyTooSlow {
        /// The limit in force.
        seconds: u64,
    },
    /// The connection ended within the body, or its framing is broken.
    #[error("request body broke off: {reason}")]
    BodyBroken {
        /// The HTTP library's words.
        reason: String,
    },
    /// Use a shorter selector, or a list with paging.
    #[error("request target has {found_bytes} bytes, at most {limit_bytes} are taken")]
    UriTooLong {
        /// What came.
        found_bytes: usize,
        /// The limit in force.
        limit_bytes: usize,
    },
    /// Too many header fields.
    #[error("request has {found} header fields, at most {limit} are taken")]
    TooManyHeaders {
        /// What came.
        found: usize,
        /// The limit in force.
        limit: usize,
    },
    /// Too many bytes of header fields.
    #[error("request headers have {found_bytes} bytes, at most {limit_bytes} are taken")]
    HeadersTooLarge {
        /// What came.
        found_bytes: usize,
        /// The limit in force.
        limit_bytes: usize,
    },
    /// An upgrade was asked for in a way that cannot be served.
    #[error("cannot upgrade: {reason}")]
    UpgradeRefused {
        /// What is wrong, and what would be taken.
        reason: String,
    },
    /// No stream protocol in common.
    #[error("unable to upgrade: none of the stream protocols {asked:?} is served here; served: {served:?}")]
    NoCommonProtocol {
        /// What the client asked for.
        asked: Vec<String>,
        /// What is on offer, best first.
        served: Vec<String>,
    },
}

impl Refusal {
    /// Status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTooSlow { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::BodyBroken { .. } | Self::UpgradeRefused { .. } => StatusCode::BAD_REQUEST,
            Self::UriTooLong { .. } => StatusCode::URI_TOO_LONG,
            Self::TooManyHeaders { .. } | Self::HeadersTooLarge { .. } => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Self::NoCommonProtocol { .. } => StatusCode::FORBIDDEN,
        }
    }

    /// True when the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::BodyTooSlow { .. } | Self::BodyBroken { .. })
    }
}
