//! [`Policy`]: which level, in which version, a namespace enforces, audits and warns about.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use trireme_schema::field::{ErrorList, Path};

/// Labels are `pod-security.kubernetes.io/MODE` and `.../MODE-version`.
const PREFIX: &str = "pod-security.kubernetes.io/";

/// How strict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Privileged,
    Baseline,
    Restricted,
}

impl Level {
    fn read(text: &str) -> Option<Self> {
        match text {
            "privileged" => Some(Self::Privileged),
            "baseline" => Some(Self::Baseline),
            "restricted" => Some(Self::Restricted),
            _ => None,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

/// The minor version whose rules count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    Minor(u32),
    Latest,
}

impl Version {
    /// `latest` or `v1.x` without leading zeros.
    fn read(text: &str) -> Option<Self> {
        if text == "latest" {
            return Some(Self::Latest);
        }
        let digits = text.strip_prefix("v1.")?;
        let plain = digits.bytes().all(|b| b.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
        digits.parse().ok().filter(|_| plain).map(Self::Minor)
    }
}

/// A level in a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standard {
    pub(super) level: Level,
    pub(super) version: Version,
}

impl std::fmt::Display for Standard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.version {
            Version::Latest => write!(f, "{}:latest", self.level.text()),
            Version::Minor(minor) => write!(f, "{}:v1.{minor}", self.level.text()),
        }
    }
}

/// What a namespace asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) enforce: Standard,
    pub(super) audit: Standard,
    pub(super) warn: Standard,
}

impl Policy {
    /// Nothing is asked for.
    const OPEN: Self = {
        let open = Standard { level: Level::Privileged, version: Version::Latest };
        Self { enforce: open, audit: open, warn: open }
    };

    /// The defaults of a configuration: texts by mode.
    pub(super) fn from_defaults(texts: &BTreeMap<String, String>) -> Result<Self, String> {
        let known = ["enforce", "enforce-version", "audit", "audit-version", "warn", "warn-version"];
        if let Some(odd) = texts.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(format!("{odd:?} is no mode; the modes are {}", known.join(", ")));
        }
        let labels = texts.iter().map(|(mode, text)| (format!("{PREFIX}{mode}"), text.clone().into()));
        let (policy, errors) = Self::OPEN.labelled(Some(&labels.collect()));
        if errors.is_empty() { Ok(policy) } else { Err(errors.aggregate()) }
    }

    /// This policy with what a namespace's labels say instead, and what is wrong with them. Malformed levels count as
    /// restricted where they enforce and as privileged elsewhere; malformed versions as the latest.
    pub(super) fn labelled(self, labels: Option<&Map<String, Value>>) -> (Self, ErrorList) {
        let mut policy = self;
        let mut errors = ErrorList::new();
        let modes = [
            ("enforce", &mut policy.enforce, Level::Restricted),
            ("audit", &mut policy.audit, Level::Privileged),
            ("warn", &mut policy.warn, Level::Privileged),
        ];
        for (mode, standard, malformed) in modes {
            let label = format!("{PREFIX}{mode}");
            if let Some(text) = text(labels, &label) {
                standard.level = Level::read(text).unwrap_or_else(|| {
                    complain(&mut errors, &label, text, "must be one of privileged, baseline, restricted");
                    malformed
                });
            }
            let label = format!("{PREFIX}{mode}-version");
            if let Some(text) = text(labels, &label) {
                standard.version = Version::read(text).unwrap_or_else(|| {
                    complain(&mut errors, &label, text, "must be \"latest\" or \"v1.x\"");
                    Version::Latest
                });
            }
        }
        (policy, errors)
    }
}

fn text<'a>(labels: Option<&'a Map<String, Value>>, name: &str) -> Option<&'a str> {
    labels?.get(name)?.as_str()
}

fn complain(errors: &mut ErrorList, label: &str, text: &str, why: &str) {
    errors.invalid_str(&Path::new("metadata").child("labels").key(label), text, why);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn labels_overrule_defaults_and_mistakes_are_told() {
        let labels = json!({
            "pod-security.kubernetes.io/enforce": "bad", "pod-security.kubernetes.io/warn": "worse",
            "pod-security.kubernetes.io/audit": "baseline", "pod-security.kubernetes.io/audit-version": "v1.09",
        });
        let (policy, errors) = Policy::OPEN.labelled(labels.as_object());
        assert_eq!(policy.enforce.to_string(), "restricted:latest");
        assert_eq!(policy.warn.level, Level::Privileged);
        assert_eq!(policy.audit.to_string(), "baseline:latest");
        assert_eq!(errors.len(), 3);
        assert!(Version::Minor(99) < Version::Latest);
        assert!(Policy::from_defaults(&BTreeMap::from([("enforce".to_owned(), "x".to_owned())])).is_err());
    }
}
