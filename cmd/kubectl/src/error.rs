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
    /// A complaint whose whole text is given.
    #[error("{0}")]
    Plain(String),
    /// Several objects failed, each for its own reason.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Several(Vec<KubectlError>),
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

    /// A complaint that names the command whose help says more.
    pub(crate) fn see_help(text: &str, command: &str) -> Self {
        Self::Usage(format!("{text}\nSee 'kubectl {command} -h' for help and examples"))
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

/// What went wrong with single objects, while the others went on.
#[derive(Debug, Default)]
pub(crate) struct Failures(Vec<KubectlError>);

impl Failures {
    /// Keeps a failure; `None` is none.
    pub(crate) fn note<T>(&mut self, result: Result<T, KubectlError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.0.push(error);
                None
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The failure of the whole command.
    pub(crate) fn finish(mut self) -> Result<(), KubectlError> {
        // Nobody is left to tell about the others.
        if self.0.iter().any(|error| matches!(error, KubectlError::Closed)) {
            return Err(KubectlError::Closed);
        }
        match self.0.len() {
            0 => Ok(()),
            1 => Err(self.0.remove(0)),
            _ => Err(KubectlError::Several(self.0)),
        }
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
            if why.contains("refused") {
                return format!(
                    "The connection to the server {host} was refused - did you specify the right host or port?"
                );
            }
            format!("Unable to connect to the server: {host}: {why}")
        }
        ClientError::Malformed { .. } | ClientError::Config(_) => format!("error: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_failures_are_told_in_their_order() {
        let mut failures = Failures::default();
        assert_eq!(failures.note(Ok(1)), Some(1));
        let _ = failures.note::<()>(Err(KubectlError::usage("a")));
        let _ = failures.note::<()>(Err(KubectlError::usage("b")));
        assert_eq!(failures.finish().unwrap_err().to_string(), "error: a\nerror: b");
        assert!(Failures::default().finish().is_ok());
    }
}
