//! resourceVersion as clients send it: opaque to them, a counter of the store to us.

use thiserror::Error;

/// Why a text is no resourceVersion.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax")]
pub struct BadResourceVersion {
    /// What was sent.
    pub text: String,
}

/// What a list, get or watch asks for by its resourceVersion parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Not given: the newest state, read consistently.
    Newest,
    /// `0`: any state this member has.
    Any,
    /// A number: that state or a later one (or exactly that one, as the match parameter says).
    At(u64),
}

/// Reads the parameter.
///
/// # Errors
/// [`BadResourceVersion`] when it is not an unsigned 64-bit number; not retryable.
pub fn parse(text: &str) -> Result<Wanted, BadResourceVersion> {
    match text {
        "" => Ok(Wanted::Newest),
        "0" => Ok(Wanted::Any),
        _ if text.bytes().all(|c| c.is_ascii_digit()) => {
            text.parse().map(Wanted::At).map_err(|_| BadResourceVersion { text: text.to_owned() })
        }
        _ => Err(BadResourceVersion { text: text.to_owned() }),
    }
}

/// Whether an update that carries `sent` may replace an object at `current`: an empty version or `0` means "whatever
/// is there", when the kind allows unconditional updates.
pub fn permits(sent: &str, current: &str, unconditional: bool) -> bool {
    match sent {
        "" | "0" => unconditional,
        _ => sent == current,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        assert_eq!(parse(""), Ok(Wanted::Newest));
        assert_eq!(parse("0"), Ok(Wanted::Any));
        assert_eq!(parse("17"), Ok(Wanted::At(17)));
        for bad in ["-1", "x", "1.5", "99999999999999999999999"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(
            permits("", "5", true)
                && !permits("", "5", false)
                && permits("5", "5", false)
                && !permits("4", "5", true)
        );
    }
}
