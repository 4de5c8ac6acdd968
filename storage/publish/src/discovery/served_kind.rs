//! [`ServedKind`]: a kind together with what its registry alone knows.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use trireme_schema::kinds::Kind;

/// How many bytes of the hash discovery shows.
const HASH_BYTES: usize = 8;

/// A kind the server serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedKind {
    /// The kind, with its resource names, verbs and subresources.
    pub kind: Kind,
    /// Group, version and kind in which its objects are stored; `None` when nothing is stored (reviews).
    pub storage: Option<(String, String, String)>,
    /// Defined by a CustomResourceDefinition.
    pub custom: bool,
}

impl ServedKind {
    /// A kind of the built-in table.
    pub fn built_in(kind: &Kind) -> Self {
        let stored = kind.verbs.iter().any(|v| v == "watch");
        let storage = stored.then(|| match (kind.group.as_str(), kind.kind.as_str()) {
            // One Event is stored whichever group it is written through.
            ("events.k8s.io", "Event") => (String::new(), "v1".to_owned(), kind.kind.clone()),
            ("autoscaling", "HorizontalPodAutoscaler") => {
                (kind.group.clone(), "v2".to_owned(), kind.kind.clone())
            }
            _ => (kind.group.clone(), kind.version.clone(), kind.kind.clone()),
        });
        ServedKind { kind: kind.clone(), storage, custom: false }
    }

    /// A kind of a CustomResourceDefinition that is stored as `storage_version`.
    pub fn custom(kind: Kind, storage_version: &str) -> Self {
        let storage = Some((kind.group.clone(), storage_version.to_owned(), kind.kind.clone()));
        ServedKind { kind, storage, custom: true }
    }

    /// All kinds of the built-in table.
    pub fn all_built_in() -> impl Iterator<Item = Self> {
        trireme_schema::kinds::all().iter().map(Self::built_in)
    }

    /// What discovery shows as `storageVersionHash`; `None` when nothing is stored.
    pub fn storage_version_hash(&self) -> Option<String> {
        let (group, version, kind) = self.storage.as_ref()?;
        Some(storage_version_hash(group, version, kind))
    }
}

/// The hash by which storage migration recognises a change of the stored version.
pub fn storage_version_hash(group: &str, version: &str, kind: &str) -> String {
    let digest = Sha256::digest(format!("{group}/{version}/{kind}"));
    STANDARD.encode(&digest[..HASH_BYTES])
}

#[cfg(test)]
mod tests {
    use trireme_schema::kinds;

    use super::*;

    /// The expected texts are what real servers show.
    #[test]
    fn hashes_are_upstreams() {
        assert_eq!(storage_version_hash("", "v1", "Pod"), "xPOwRZ+Yhw8=");
        assert_eq!(storage_version_hash("apps", "v1", "Deployment"), "8aSe+NMegvE=");
        let hash = |group: &str, version: &str, kind: &str| {
            ServedKind::built_in(kinds::by_kind(group, version, kind).unwrap()).storage_version_hash()
        };
        assert_eq!(hash("events.k8s.io", "v1", "Event"), hash("", "v1", "Event"));
        assert_eq!(
            hash("autoscaling", "v1", "HorizontalPodAutoscaler"),
            hash("autoscaling", "v2", "HorizontalPodAutoscaler")
        );
        assert_eq!(hash("authentication.k8s.io", "v1", "TokenReview"), None);
    }
}
