//! [`FeatureGates`]: `--feature-gates`, by upstream's names, stages and defaults.
//!
//! Only gates that change what this build does are known; any other name is refused. Gates of what is generally
//! available are locked, as upstream's are.

use std::collections::BTreeMap;
use std::fmt::Write;

use thiserror::Error;

/// How far a feature is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Off unless asked for.
    Alpha,
    /// On unless switched off.
    Beta,
    /// Always on.
    Ga,
}

/// A gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    /// Answers above 128 KiB are compressed for clients that take gzip.
    ApiResponseCompression,
    /// exec, attach and port-forward by GET need permission to create as well.
    AuthorizePodWebsocketUpgradeCreatePermission,
    /// Watches may begin with what is there (`sendInitialEvents`).
    WatchList,
}

/// All gates with name, stage and default.
const KNOWN: [(Feature, &str, Stage, bool); 3] = [
    (Feature::ApiResponseCompression, "APIResponseCompression", Stage::Beta, true),
    (
        Feature::AuthorizePodWebsocketUpgradeCreatePermission,
        "AuthorizePodWebsocketUpgradeCreatePermission",
        Stage::Beta,
        true,
    ),
    (Feature::WatchList, "WatchList", Stage::Beta, true),
];

/// Features that are part of this build and cannot be switched off (upstream locks them as well).
const LOCKED: [&str; 5] = [
    "AuthorizeWithSelectors",
    "CustomResourceFieldSelectors",
    "InPlacePodVerticalScaling",
    "JobManagedBy",
    "SidecarContainers",
];

/// Why a list of gates is refused. Not retryable: the flag must change.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FeatureError {
    /// No such gate.
    #[error("unrecognized feature gate: {0}; known: {known}", known = known())]
    Unknown(String),
    /// No `name=bool`.
    #[error("missing bool value for {0}")]
    NoValue(String),
    /// Neither true nor false.
    #[error("invalid value of {name}={value}, err: strconv.ParseBool: parsing {value:?}: invalid syntax")]
    BadValue {
        /// The gate.
        name: String,
        /// What it was set to.
        value: String,
    },
    /// Part of the build.
    #[error("cannot set feature gate {0} to false, feature is locked to true")]
    Locked(String),
}

fn known() -> String {
    let names: Vec<&str> = KNOWN.iter().map(|(_, name, ..)| *name).chain(["AllAlpha", "AllBeta"]).collect();
    names.join(", ")
}

/// Which features are on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureGates(BTreeMap<Feature, bool>);

impl Default for FeatureGates {
    fn default() -> Self {
        Self(KNOWN.iter().map(|(feature, _, _, on)| (*feature, *on)).collect())
    }
}

impl FeatureGates {
    /// Reads `A=true,B=false`. What is named itself counts more than `AllAlpha` and `AllBeta`.
    ///
    /// # Errors
    /// Unknown gates, values that are no booleans, and locked gates that shall be off.
    pub fn parse(text: &str) -> Result<Self, FeatureError> {
        let mut out = Self::default();
        let mut named = Vec::new();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or_else(|| FeatureError::NoValue(pair.to_owned()))?;
            let on = match value.trim() {
                "true" | "True" | "TRUE" | "t" | "T" | "1" => true,
                "false" | "False" | "FALSE" | "f" | "F" | "0" => false,
                other => {
                    return Err(FeatureError::BadValue { name: name.to_owned(), value: other.to_owned() });
                }
            };
            match name.trim() {
                "AllAlpha" => out.set_all(Stage::Alpha, on),
                "AllBeta" => out.set_all(Stage::Beta, on),
                name if LOCKED.contains(&name) && on => {}
                name if LOCKED.contains(&name) => return Err(FeatureError::Locked(name.to_owned())),
                name => {
                    let known = KNOWN.iter().find(|(_, own, ..)| *own == name);
                    let (feature, ..) = known.ok_or_else(|| FeatureError::Unknown(name.to_owned()))?;
                    named.push((*feature, on));
                }
            }
        }
        out.0.extend(named);
        Ok(out)
    }

    fn set_all(&mut self, stage: Stage, on: bool) {
        let of = KNOWN.iter().filter(|(_, _, own, _)| *own == stage);
        self.0.extend(of.map(|(feature, ..)| (*feature, on)));
    }

    /// Whether a feature is on.
    pub fn is_on(&self, feature: Feature) -> bool {
        self.0.get(&feature).copied().unwrap_or(false)
    }

    /// The metric that names every gate.
    pub(crate) fn render(&self, out: &mut String) {
        out.push_str("# HELP kubernetes_feature_enabled Whether a feature is on.\n");
        out.push_str("# TYPE kubernetes_feature_enabled gauge\n");
        let own = KNOWN.iter().map(|(feature, name, stage, _)| (*name, *stage, self.is_on(*feature)));
        let locked = LOCKED.iter().map(|name| (*name, Stage::Ga, true));
        let mut all: Vec<_> = own.chain(locked).collect();
        all.sort_unstable_by_key(|(name, ..)| *name);
        for (name, stage, on) in all {
            let stage = match stage {
                Stage::Alpha => "ALPHA",
                Stage::Beta => "BETA",
                Stage::Ga => "",
            };
            let _infallible = writeln!(
                out,
                "kubernetes_feature_enabled{{name=\"{name}\",stage=\"{stage}\"}} {}",
                u8::from(on)
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_flipped_and_unknown_ones_refused() {
        let gates = FeatureGates::parse("").unwrap();
        assert!(gates.is_on(Feature::WatchList));
        let gates = FeatureGates::parse("AllBeta=false, WatchList=true,SidecarContainers=true").unwrap();
        assert!(gates.is_on(Feature::WatchList) && !gates.is_on(Feature::ApiResponseCompression));
        let mut text = String::new();
        gates.render(&mut text);
        assert!(text.contains("{name=\"APIResponseCompression\",stage=\"BETA\"} 0"), "{text}");
        assert!(text.contains("{name=\"SidecarContainers\",stage=\"\"} 1"), "{text}");
        for (bad, why) in [
            ("Nope=true", "unrecognized feature gate: Nope"),
            ("WatchList", "missing bool value for WatchList"),
            ("WatchList=maybe", "invalid value of WatchList=maybe"),
            ("SidecarContainers=false", "locked to true"),
        ] {
            let error = FeatureGates::parse(bad).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
