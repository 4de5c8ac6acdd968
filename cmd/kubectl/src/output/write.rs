//! Standard output.

use std::io::Write;

use crate::error::KubectlError;

/// Prints; a reader that went away (`| head`) ends the command quietly.
pub(crate) fn write(text: &str) -> Result<(), KubectlError> {
    bytes(text.as_bytes())
}

/// Prints bytes as they are.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), KubectlError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(KubectlError::Closed),
        Err(error) => Err(KubectlError::Io(format!("standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}
