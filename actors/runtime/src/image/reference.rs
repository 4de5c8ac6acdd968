//! [`Reference`]: names of images, normalised as every client of registries does it (`busybox` is
//! `docker.io/library/busybox:latest`).

use std::fmt;

use crate::fail::{Outcome, invalid};

/// Bytes of a whole reference (the distribution specification's limit of a name).
const REFERENCE_LIMIT_BYTES: usize = 4_096;

/// The registry that a bare name means.
pub(crate) const DEFAULT_REGISTRY: &str = "docker.io";

/// A parsed name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// Host and optional port.
    pub registry: String,
    /// Path below it.
    pub repository: String,
    /// Tag; `latest` when neither tag nor digest was given.
    pub tag: Option<String>,
    /// `sha256:...`.
    pub digest: Option<String>,
}

impl Reference {
    /// Parses and normalises.
    ///
    /// # Errors
    /// `Invalid` when it is no image name.
    pub fn parse(text: &str) -> Outcome<Self> {
        let bad = |why: &str| {
            invalid(format!("couldn't parse image name \"{text}\": invalid reference format: {why}"))
        };
        if text.is_empty() || text.len() > REFERENCE_LIMIT_BYTES {
            return Err(bad("it is empty or too long"));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.to_owned())),
            None => (text, None),
        };
        if digest.as_deref().is_some_and(|digest| !is_digest(digest)) {
            return Err(bad("a digest reads sha256: and 64 hexadecimal digits"));
        }
        let slash = rest.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match rest[slash..].find(':') {
            Some(at) => (&rest[..slash + at], Some(rest[slash + at + 1..].to_owned())),
            None => (rest, None),
        };
        if tag.as_deref().is_some_and(|tag| !is_tag(tag)) {
            return Err(bad("a tag has letters, digits, '_', '.', '-', at most 128"));
        }
        let (registry, repository) = split_registry(name);
        let well_formed = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-'))
                && part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part.ends_with(|c: char| c.is_ascii_alphanumeric())
        };
        if !repository.split('/').all(well_formed) {
            return Err(bad("a repository has lower case letters, digits and separators"));
        }
        if !registry
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'))
        {
            return Err(bad("the registry is no host name"));
        }
        let tag = if tag.is_none() && digest.is_none() { Some("latest".to_owned()) } else { tag };
        Ok(Self { registry, repository, tag, digest })
    }

    /// Registry and repository.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// `name:tag`, if it has a tag.
    pub fn tagged(&self) -> Option<String> {
        self.tag.as_ref().map(|tag| format!("{}:{tag}", self.name()))
    }

    /// `name@digest` of a digest.
    pub fn with_digest(&self, digest: &str) -> String {
        format!("{}@{digest}", self.name())
    }

    /// What the registry's API is asked for: the digest if there is one, else the tag.
    pub fn wanted(&self) -> &str {
        self.digest.as_deref().or(self.tag.as_deref()).unwrap_or("latest")
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name())?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// Whether it reads `sha256:<64 hex>`.
pub(crate) fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(is_hex64)
}

/// 64 lower case hexadecimal digits.
pub(crate) fn is_hex64(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn is_tag(tag: &str) -> bool {
    !tag.is_empty()
        && tag.len() <= 128
        && tag.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
        && !tag.starts_with(['.', '-'])
}

fn split_registry(name: &str) -> (String, String) {
    if let Some((first, rest)) = name.split_once('/')
        && (first.contains(['.', ':']) || first == "localhost")
    {
        let registry = if first == "index.docker.io" { DEFAULT_REGISTRY } else { first };
        if registry == DEFAULT_REGISTRY && !rest.contains('/') {
            return (registry.to_owned(), format!("library/{rest}"));
        }
        return (registry.to_owned(), rest.to_owned());
    }
    let repository = if name.contains('/') { name.to_owned() } else { format!("library/{name}") };
    (DEFAULT_REGISTRY.to_owned(), repository)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised_as_clients_expect() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (given, want) in [
            ("busybox", "docker.io/library/busybox:latest".to_owned()),
            ("a/b:1", "docker.io/a/b:1".to_owned()),
            ("localhost/x", "localhost/x:latest".to_owned()),
            ("registry:5000/a/b/c:t", "registry:5000/a/b/c:t".to_owned()),
            ("index.docker.io/busybox", "docker.io/library/busybox:latest".to_owned()),
            (&format!("quay.io/x/y@{digest}"), format!("quay.io/x/y@{digest}")),
            (&format!("x:1@{digest}"), format!("docker.io/library/x:1@{digest}")),
        ] {
            assert_eq!(Reference::parse(given).unwrap().to_string(), want, "{given}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for bad in ["", "UPPER", "a b", "x:", "x:.a", "x@sha256:1", "/x", "x//y", "x/../y", "http://x/y"] {
            let error = Reference::parse(bad).unwrap_err();
            assert!(error.message.contains("invalid reference format"), "{bad}: {error}");
        }
    }
}
