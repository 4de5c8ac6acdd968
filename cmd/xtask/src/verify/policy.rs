//! The rules as data: `.layers.toml` and `.deny.toml`.

use serde::Deserialize;
use std::collections::BTreeMap;

/// File with the crates, their arrows and the bans.
pub(crate) const LAYERS_FILE: &str = ".layers.toml";
/// File with the decisions on licences, sources and advisories, in cargo-deny's format.
pub(crate) const DENY_FILE: &str = ".deny.toml";

/// `.layers.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Layers {
    /// Every member of the workspace.
    pub(crate) crates: BTreeMap<String, CrateRule>,
    /// External crates that only the listed members may name.
    #[serde(default)]
    pub(crate) exclusive: BTreeMap<String, Vec<String>>,
    /// Paths banned from the product code of pure crates.
    #[serde(default)]
    pub(crate) pure_ban: Vec<Ban>,
    /// Paths banned from the product code of every crate that is not listed as an owner.
    #[serde(default)]
    pub(crate) owned_path: Vec<OwnedPath>,
}

/// One member of the workspace.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct CrateRule {
    /// Its folder from the root.
    pub(crate) folder: String,
    /// Members it may depend on.
    #[serde(default)]
    pub(crate) may_use: Vec<String>,
    /// Further members its tests and benches may depend on, with the reason in a comment beside it.
    #[serde(default)]
    pub(crate) tests_may_use: Vec<String>,
    /// Whether law 4 holds for it: no clock, OS randomness, I/O or hash-ordered iteration.
    #[serde(default)]
    pub(crate) pure: bool,
    /// External crates it may depend on; pure crates only.
    #[serde(default)]
    pub(crate) external: Vec<String>,
}

/// A path that pure code may not name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Ban {
    /// The path and everything below it, or a macro's name with `!`.
    pub(crate) path: String,
    /// What to write in its place.
    pub(crate) instead: String,
    /// Why it is banned.
    pub(crate) reason: String,
    /// How clippy can enforce it as well, in tests too.
    pub(crate) clippy: Option<ClippyKind>,
}

/// Which of clippy's lists a ban belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ClippyKind {
    /// `disallowed-methods`.
    Method,
    /// `disallowed-types`.
    Type,
}

/// A path that only some crates may name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct OwnedPath {
    /// The path and everything below it.
    pub(crate) path: String,
    /// The members that may name it.
    pub(crate) owners: Vec<String>,
    /// What everyone else writes in its place.
    pub(crate) instead: String,
    /// Why.
    pub(crate) reason: String,
}

/// The parts of `.deny.toml` that the built-in checks use; cargo-deny reads the rest.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Deny {
    /// Licences.
    pub(crate) licenses: LicencePolicy,
    /// Advisories that have been looked at.
    #[serde(default)]
    pub(crate) advisories: AdvisoryPolicy,
    /// Registries.
    #[serde(default)]
    pub(crate) sources: SourcePolicy,
}

/// Which licences are good.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct LicencePolicy {
    /// SPDX identifiers.
    pub(crate) allow: Vec<String>,
    /// Further licences for single crates.
    #[serde(default)]
    pub(crate) exceptions: Vec<LicenceException>,
}

/// Further licences for one crate.
#[derive(Debug, Deserialize)]
pub(crate) struct LicenceException {
    /// Its name.
    #[serde(rename = "crate", alias = "name")]
    pub(crate) name: String,
    /// SPDX identifiers.
    pub(crate) allow: Vec<String>,
}

/// Decisions on advisories.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct AdvisoryPolicy {
    /// Known and accepted.
    #[serde(default)]
    pub(crate) ignore: Vec<AdvisoryDecision>,
}

/// One accepted advisory.
#[derive(Debug, Deserialize)]
pub(crate) struct AdvisoryDecision {
    /// RUSTSEC number.
    pub(crate) id: String,
    /// `<crate>: why it is acceptable here`.
    pub(crate) reason: String,
}

/// Where packages may come from.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct SourcePolicy {
    /// Index addresses.
    #[serde(default)]
    pub(crate) allow_registry: Vec<String>,
}
