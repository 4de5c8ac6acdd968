//! [`ClientError`]: why a request did not get its answer.

use serde_json::Value;
use thiserror::Error;

/// An answer that says no: a Status.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// HTTP status.
    pub code: u16,
    /// Such as `NotFound`.
    pub reason: String,
    /// Text for people.
    pub message: String,
    /// The whole Status.
    pub status: Value,
}

impl Refusal {
    /// Reads a body, which should be a Status.
    pub(crate) fn read(code: u16, body: &[u8]) -> Self {
        let status: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let text = |name: &str| status[name].as_str().unwrap_or_default().to_owned();
        if status["kind"] == "Status" {
            return Self { code, reason: text("reason"), message: text("message"), status };
        }
        let message = String::from_utf8_lossy(body).trim().to_owned();
        Self { code, reason: String::new(), message, status: Value::Null }
    }
}

/// Why a request failed.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum ClientError {
    /// The server said no.
    #[error("{}", .0.message)]
    Refused(Box<Refusal>),
    /// No server answered; whether a write was carried out is unknown.
    #[error("the server at {server} cannot be reached: {why}")]
    Unreachable {
        /// Its address.
        server: String,
        /// The cause.
        why: String,
    },
    /// An answer that is none.
    #[error("the server's answer to {path} is malformed: {why}")]
    Malformed {
        /// What was asked.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// The client's own settings.
    #[error("{0}")]
    Config(String),
}

impl ClientError {
    /// HTTP status, if the server said no.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Refused(refusal) => Some(refusal.code),
            Self::Unreachable { .. } | Self::Malformed { .. } | Self::Config(_) => None,
        }
    }

    /// Whether there is no such object (or path).
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// Whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused(refusal) => matches!(refusal.code, 429 | 500 | 502 | 503 | 504),
            Self::Unreachable { .. } => true,
            Self::Malformed { .. } | Self::Config(_) => false,
        }
    }
}
