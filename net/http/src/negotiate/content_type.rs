//! Formats, and what `Content-Type` says.

use std::fmt;

use thiserror::Error;

use super::media_range::parse_one;

/// A format of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// `application/json`
    Json,
    /// `application/yaml`
    Yaml,
    /// `application/vnd.kubernetes.protobuf`
    Protobuf,
    /// `application/cbor`
    Cbor,
}

impl Format {
    /// Every format there is, in upstream's order.
    pub const ALL: [Self; 4] = [Self::Json, Self::Yaml, Self::Protobuf, Self::Cbor];

    /// The media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
            Self::Protobuf => "application/vnd.kubernetes.protobuf",
            Self::Cbor => "application/cbor",
        }
    }

    /// The media type of a watch in this format.
    pub const fn stream_media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
            Self::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
            Self::Cbor => "application/cbor-seq",
        }
    }

    fn named(media_type: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.media_type() == media_type)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.media_type())
    }
}

/// Kinds of patches, by media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PatchKind {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    /// Kubernetes' own, with directives.
    StrategicMerge,
    /// Server-side apply, JSON being YAML too.
    ApplyYaml,
    /// Server-side apply in CBOR.
    ApplyCbor,
}

impl PatchKind {
    /// Every kind there is, in upstream's order.
    pub const ALL: [Self; 5] =
        [Self::Json, Self::Merge, Self::StrategicMerge, Self::ApplyYaml, Self::ApplyCbor];

    /// The media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json-patch+json",
            Self::Merge => "application/merge-patch+json",
            Self::StrategicMerge => "application/strategic-merge-patch+json",
            Self::ApplyYaml => "application/apply-patch+yaml",
            Self::ApplyCbor => "application/apply-patch+cbor",
        }
    }
}

/// 415.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UnsupportedMediaType {
    /// A format of Kubernetes that this server does not have.
    #[error("{media_type} is not built into this server - accepted media types include: {}", accepted.join(", "))]
    NotBuilt {
        /// The asked type.
        media_type: &'static str,
        /// What would be taken.
        accepted: Vec<&'static str>,
    },
    /// Nothing that Kubernetes knows here.
    #[error("the body of the request was in an unknown format - accepted media types include: {}", accepted.join(", "))]
    Unknown {
        /// What would be taken.
        accepted: Vec<&'static str>,
    },
}

/// Format of a request body. An absent or empty header means the first of `built`.
pub fn body_format(
    content_type: Option<&str>,
    built: &'static [Format],
) -> Result<Format, UnsupportedMediaType> {
    let accepted = || built.iter().map(|format| format.media_type()).collect();
    let text = content_type.unwrap_or_default().trim();
    if let (true, Some(first)) = (text.is_empty(), built.first()) {
        return Ok(*first);
    }
    let range = parse_one(text).ok_or_else(|| UnsupportedMediaType::Unknown { accepted: accepted() })?;
    match Format::named(&format!("{}/{}", range.main, range.sub)) {
        Some(format) if built.contains(&format) => Ok(format),
        Some(format) => {
            Err(UnsupportedMediaType::NotBuilt { media_type: format.media_type(), accepted: accepted() })
        }
        None => Err(UnsupportedMediaType::Unknown { accepted: accepted() }),
    }
}

/// Kind of a patch; `built` are those that the resource takes.
pub fn patch_kind(
    content_type: Option<&str>,
    built: &'static [PatchKind],
) -> Result<PatchKind, UnsupportedMediaType> {
    let accepted = || built.iter().map(|kind| kind.media_type()).collect();
    let text = content_type.unwrap_or_default();
    let media_type = text.split(';').next().unwrap_or_default().trim();
    match PatchKind::ALL.into_iter().find(|kind| kind.media_type().eq_ignore_ascii_case(media_type)) {
        Some(kind) if built.contains(&kind) => Ok(kind),
        Some(kind) => {
            Err(UnsupportedMediaType::NotBuilt { media_type: kind.media_type(), accepted: accepted() })
        }
        None => Err(UnsupportedMediaType::Unknown { accepted: accepted() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILT: &[Format] = &[Format::Json, Format::Yaml];

    #[test]
    fn bodies_default_to_json_and_protobuf_is_refused_by_name() {
        assert_eq!(body_format(None, BUILT), Ok(Format::Json));
        assert_eq!(body_format(Some(" "), BUILT), Ok(Format::Json));
        assert_eq!(body_format(Some("application/JSON; charset=utf-8"), BUILT), Ok(Format::Json));
        assert_eq!(body_format(Some("application/yaml"), BUILT), Ok(Format::Yaml));
        let refused = body_format(Some("application/vnd.kubernetes.protobuf"), BUILT).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "application/vnd.kubernetes.protobuf is not built into this server - accepted media types include: \
             application/json, application/yaml"
        );
        for unknown in ["text/html", "json", "*/*"] {
            assert!(matches!(body_format(Some(unknown), BUILT), Err(UnsupportedMediaType::Unknown { .. })));
        }
    }

    #[test]
    fn patches_are_told_by_media_type_alone() {
        const TAKEN: &[PatchKind] = &[PatchKind::Json, PatchKind::Merge, PatchKind::ApplyYaml];
        assert_eq!(patch_kind(Some("application/apply-patch+yaml"), TAKEN), Ok(PatchKind::ApplyYaml));
        assert_eq!(patch_kind(Some("application/merge-patch+json; charset=x"), TAKEN), Ok(PatchKind::Merge));
        let custom = patch_kind(Some("application/strategic-merge-patch+json"), TAKEN).unwrap_err();
        assert!(matches!(custom, UnsupportedMediaType::NotBuilt { .. }));
        assert!(patch_kind(None, TAKEN).is_err(), "a patch has no default");
        assert!(patch_kind(Some("application/json"), TAKEN).is_err());
    }
}
