use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An actor's absolute path, such as `/server/s1/bus/peer/s2`; `/` is the root supervisor.
///
/// At most [`ActorPath::MAX_SEGMENTS`] segments of 1 to [`ActorPath::MAX_SEGMENT_BYTES`] characters out of
/// `[A-Za-z0-9._:-]`. Cheap to clone. The leading segments decide on which machine the actor lives, see
/// [`ActorPath::owner`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ActorPath(Arc<str>);

/// Where an actor lives, as its path says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner<'a> {
    /// `/server/<machine>/..` and `/node/<machine>/..`: the machine named.
    Machine(&'a str),
    /// `/cluster/..`: the leader.
    Leader,
    /// Anything else: the machine that asks.
    Here,
}

/// Why a text is no actor path.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PathError {
    /// It does not start with a slash.
    #[error("actor path {0:?} must start with '/'")]
    NotAbsolute(String),
    /// A segment is empty, too long, or has a character outside `[A-Za-z0-9._:-]`.
    #[error("actor path {path:?}: segment {segment:?} must be 1-253 characters of [A-Za-z0-9._:-]")]
    BadSegment {
        /// The whole path.
        path: String,
        /// The segment at fault.
        segment: String,
    },
    /// Too many segments.
    #[error("actor path {0:?} has more than {max} segments", max = ActorPath::MAX_SEGMENTS)]
    TooDeep(String),
}

impl ActorPath {
    /// Most segments a path may have.
    pub const MAX_SEGMENTS: usize = 16;
    /// Longest segment in bytes.
    pub const MAX_SEGMENT_BYTES: usize = 253;

    /// The path of the root supervisor, `/`.
    pub fn root() -> Self {
        Self(Arc::from("/"))
    }

    /// The path `relative` (one or more segments joined by `/`) below this one.
    ///
    /// # Errors
    /// When a segment is malformed or the result is too deep.
    pub fn join(&self, relative: &str) -> Result<Self, PathError> {
        if self.0.len() == 1 {
            format!("/{relative}").parse()
        } else {
            format!("{}/{relative}", self.0).parse()
        }
    }

    /// The text, always starting with `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The segments, none for the root.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0[1..].split('/').filter(|segment| !segment.is_empty())
    }

    /// The path one level up; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        match self.0.rfind('/') {
            _ if self.0.len() == 1 => None,
            Some(0) | None => Some(Self::root()),
            Some(at) => Some(Self(Arc::from(&self.0[..at]))),
        }
    }

    /// The last segment; empty for the root.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// True when this path is `prefix` or lies below it.
    pub fn is_within(&self, prefix: &ActorPath) -> bool {
        prefix.0.len() == 1
            || self.0.strip_prefix(&*prefix.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Where the actor lives.
    pub fn owner(&self) -> Owner<'_> {
        let mut segments = self.segments();
        match (segments.next(), segments.next()) {
            (Some("server" | "node"), Some(machine)) => Owner::Machine(machine),
            (Some("cluster"), _) => Owner::Leader,
            _ => Owner::Here,
        }
    }
}

impl FromStr for ActorPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let Some(rest) = text.strip_prefix('/') else { return Err(PathError::NotAbsolute(clip(text))) };
        if rest.is_empty() {
            return Ok(Self::root());
        }
        let mut count = 0;
        for segment in rest.split('/') {
            let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
            if segment.is_empty() || segment.len() > Self::MAX_SEGMENT_BYTES || !segment.bytes().all(legal) {
                return Err(PathError::BadSegment { path: clip(text), segment: clip(segment) });
            }
            count += 1;
            if count > Self::MAX_SEGMENTS {
                return Err(PathError::TooDeep(clip(text)));
            }
        }
        Ok(Self(Arc::from(text)))
    }
}

/// Keeps error messages about hostile input short.
fn clip(text: &str) -> String {
    text.chars().take(300).collect()
}

impl TryFrom<String> for ActorPath {
    type Error = PathError;

    fn try_from(text: String) -> Result<Self, PathError> {
        text.parse()
    }
}

impl From<ActorPath> for String {
    fn from(path: ActorPath) -> String {
        path.0.as_ref().to_owned()
    }
}

impl Borrow<str> for ActorPath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ActorPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ActorPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> ActorPath {
        text.parse().unwrap()
    }

    #[test]
    fn refuses_what_is_no_path() {
        for bad in ["", "a", "//", "/a/", "/a//b", "/a b", "/ü", "/a/../\0"] {
            assert!(bad.parse::<ActorPath>().is_err(), "{bad:?}");
        }
        assert!(format!("/{}", "x".repeat(254)).parse::<ActorPath>().is_err());
        assert!(format!("/{}", "x".repeat(253)).parse::<ActorPath>().is_ok());
        assert!("/a".repeat(17).parse::<ActorPath>().is_err());
        assert!("/a".repeat(16).parse::<ActorPath>().is_ok());
    }

    #[test]
    fn owner_is_in_the_leading_segments() {
        assert_eq!(path("/server/s1/bus").owner(), Owner::Machine("s1"));
        assert_eq!(path("/node/n1/kubelet/pod/1").owner(), Owner::Machine("n1"));
        assert_eq!(path("/cluster/controllers").owner(), Owner::Leader);
        assert_eq!(path("/server").owner(), Owner::Here);
        assert_eq!(path("/").owner(), Owner::Here);
    }

    #[test]
    fn walks_up_and_down() {
        let root = ActorPath::root();
        let bus = root.join("server/s1/bus").unwrap();
        assert_eq!(bus.as_str(), "/server/s1/bus");
        assert_eq!(bus.parent().unwrap().as_str(), "/server/s1");
        assert_eq!(path("/a").parent(), Some(ActorPath::root()));
        assert_eq!(root.parent(), None);
        assert_eq!(bus.name(), "bus");
        assert!(bus.is_within(&root) && bus.is_within(&bus) && bus.is_within(&path("/server/s1")));
        assert!(!path("/server/s10").is_within(&path("/server/s1")));
        assert!(bus.join("../x").is_ok(), "dots are plain characters here");
        assert!(bus.join("").is_err());
    }
}
