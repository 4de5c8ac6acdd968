//! What `Accept` asks for.

use thiserror::Error;

use super::content_type::Format;
use super::media_range::{MediaRange, parse_accept};

/// The object that a representation is turned into: `as=Table;v=v1;g=meta.k8s.io`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// API group, `meta.k8s.io` for tables and partial metadata.
    pub group: String,
    /// API version.
    pub version: String,
    /// `Table`, `PartialObjectMetadata`, `PartialObjectMetadataList`, `APIGroupDiscoveryList`, ...
    pub kind: String,
}

impl Target {
    /// True for a kind of `meta.k8s.io` in v1 or v1beta1.
    pub fn is_meta(&self, kind: &str) -> bool {
        self.group == "meta.k8s.io" && self.kind == kind && matches!(self.version.as_str(), "v1" | "v1beta1")
    }
}

/// What to answer with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The format.
    pub format: Format,
    /// Turn the object into this, if given.
    pub target: Option<Target>,
    /// `pretty=1`
    pub pretty: bool,
    /// Value of `stream`, such as `watch`.
    pub stream: Option<String>,
    /// Value of `profile`.
    pub profile: Option<String>,
}

/// 406.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotAcceptable {
    /// All that was asked for are formats of Kubernetes that this server does not have.
    #[error(
        "{media_type} is not built into this server; only the following media types are accepted: {}",
        offered.join(", ")
    )]
    NotBuilt {
        /// The best asked one.
        media_type: &'static str,
        /// What is on offer.
        offered: Vec<&'static str>,
    },
    /// Nothing in common.
    #[error("only the following media types are accepted: {}", offered.join(", "))]
    Nothing {
        /// What is on offer.
        offered: Vec<&'static str>,
    },
}

/// Picks format and target. `header` is the values of `Accept` joined by commas; absent or empty means the first of
/// `offered`. `allows` says whether the endpoint can turn its objects into a target in a format; it is also asked for
/// no target.
pub fn negotiate_accept(
    header: Option<&str>,
    offered: &[Format],
    allows: impl Fn(Format, Option<&Target>) -> bool,
) -> Result<Accepted, NotAcceptable> {
    let header = header.unwrap_or_default().trim();
    if let (true, Some(first)) = (header.is_empty(), offered.first()) {
        return Ok(Accepted { format: *first, target: None, pretty: false, stream: None, profile: None });
    }
    let ranges = parse_accept(header);
    for range in &ranges {
        for format in offered.iter().filter(|format| range.covers(format.media_type())) {
            let accepted = options(range, *format);
            if allows(*format, accepted.target.as_ref()) {
                return Ok(accepted);
            }
        }
    }
    let names = offered.iter().map(|format| format.media_type()).collect();
    let is_unbuilt = |range: &MediaRange<'_>, format: Format| {
        range.main != "*"
            && range.sub != "*"
            && range.covers(format.media_type())
            && !offered.contains(&format)
    };
    let unbuilt =
        ranges.iter().find_map(|range| Format::ALL.into_iter().find(|format| is_unbuilt(range, *format)));
    Err(match unbuilt {
        Some(format) => NotAcceptable::NotBuilt { media_type: format.media_type(), offered: names },
        None => NotAcceptable::Nothing { offered: names },
    })
}

fn options(range: &MediaRange<'_>, format: Format) -> Accepted {
    let value = |wanted: &str| {
        let found = range.parameters.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| (*value).to_owned())
    };
    let target = value("as").map(|kind| Target {
        group: value("g").unwrap_or_default(),
        version: value("v").unwrap_or_default(),
        kind,
    });
    Accepted {
        format,
        target,
        pretty: value("pretty").as_deref() == Some("1"),
        stream: value("stream"),
        profile: value("profile"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFERED: &[Format] = &[Format::Json, Format::Yaml];
    const KUBECTL_GET: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,\
                               application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";

    fn tables(format: Format, target: Option<&Target>) -> bool {
        match target {
            None => true,
            Some(target) => target.is_meta("Table") && format == Format::Json,
        }
    }

    fn ask(header: &str) -> Result<Accepted, NotAcceptable> {
        negotiate_accept(Some(header), OFFERED, tables)
    }

    fn kind(accepted: &Accepted) -> Option<(&str, &str)> {
        accepted.target.as_ref().map(|target| (target.kind.as_str(), target.version.as_str()))
    }

    #[test]
    fn kubectl_gets_a_table_where_there_is_one_and_the_object_elsewhere() {
        assert_eq!(kind(&ask(KUBECTL_GET).unwrap()), Some(("Table", "v1")));
        let plain = negotiate_accept(Some(KUBECTL_GET), OFFERED, |_, target| target.is_none()).unwrap();
        assert_eq!((plain.format, plain.target), (Format::Json, None));
        let beta_only = |_, target: Option<&Target>| target.is_some_and(|target| target.version == "v1beta1");
        let beta = negotiate_accept(Some(KUBECTL_GET), OFFERED, beta_only).unwrap();
        assert_eq!(kind(&beta), Some(("Table", "v1beta1")));
    }

    #[test]
    fn wildcards_and_absence_mean_the_first_offer() {
        for header in ["*/*", "application/*", "", "  ", "text/html, */*;q=0.1"] {
            assert_eq!(ask(header).unwrap().format, Format::Json, "{header}");
        }
        assert_eq!(negotiate_accept(None, OFFERED, tables).unwrap().format, Format::Json);
        assert_eq!(ask("application/json;q=0.2, application/yaml").unwrap().format, Format::Yaml);
    }

    #[test]
    fn protobuf_falls_back_or_is_refused_by_name() {
        let client_go = "application/vnd.kubernetes.protobuf,application/json";
        assert_eq!(ask(client_go).unwrap().format, Format::Json);
        let refused = ask("application/vnd.kubernetes.protobuf").unwrap_err();
        assert_eq!(
            refused.to_string(),
            "application/vnd.kubernetes.protobuf is not built into this server; only the following media types are \
             accepted: application/json, application/yaml"
        );
        let refused = ask("text/html").unwrap_err();
        assert_eq!(
            refused.to_string(),
            "only the following media types are accepted: application/json, application/yaml"
        );
        assert!(ask("application/json;as=Nonsense;v=v1;g=meta.k8s.io").is_err());
        assert!(ask("application/yaml;as=Table;v=v1;g=meta.k8s.io").is_err());
    }

    #[test]
    fn parameters_come_along() {
        let accepted = ask("application/json;stream=watch;pretty=1;profile=nopeer").unwrap();
        assert_eq!((accepted.stream.as_deref(), accepted.pretty), (Some("watch"), true));
        assert_eq!(accepted.profile.as_deref(), Some("nopeer"));
    }
}
