//! [`KubectlError`]: why a command failed, in upstream's words.

use thiserror::Error;
use trireme_client::ClientError;

/// Why a command failed.
#[derive(Debug, Error)]
pub enum KubectlError {
    /// The server refused, or cannot be reached.
    #[error("{}", server_text(.0))]
    Server(#[from] ClientError),
    /// The command makes no sense as it was given.
    #[error("error: {0}")]
    Usage(String),
    /// Whoever read the output went away (`| head`).
    #[error("nobody reads the output")]
    Closed,
    /// A file or a stream.
    #[error("error: {0}")]
    Io(String),
}

impl KubectlError {
    /// A complaint about how the command was given.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    /// What upstream has and this command has not yet.
    pub(crate) fn not_built(what: &str) -> Self {
        Self::Usage(format!(
            "{what} is not built into this kubectl; upstream's works against this cluster as well"
        ))
    }

    /// Whether the server said that there is no such object.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Server(error) if error.is_not_found())
    }
}

fn server_text(error: &ClientError) -> String {
    match error {
        ClientError::Refused(refusal) if !refusal.reason.is_empty() => match refusal.reason.as_str() {
            // Upstream shows the findings about an object as they are.
            "Invalid" => refusal.message.clone(),
            reason => format!("Error from server ({reason}): {}", refusal.message),
        },
        ClientError::Refused(refusal) => format!("Error from server: {}", refusal.message),
        ClientError::Unreachable { server, why } => {
            let host = server.trim_end_matches('/').rsplit('/').next().unwrap_or(server);
            format!(
                "The connection to the server {host} was refused - did you specify the right host or port? ({why})"
            )
        }
        ClientError::Malformed { .. } | ClientError::Config(_) => format!("error: {error}"),
    }
}
