//! Licences and origins of the whole dependency graph.

use super::policy::{DENY_FILE, Deny};
use crate::report::Outcome;
use crate::workspace::Workspace;
use anyhow::Result;
use spdx::{Expression, ParseMode};

/// One package of the graph.
pub(crate) struct Package<'a> {
    name: &'a str,
    version: String,
    licence: Option<&'a str>,
    /// Where it comes from; `None` is a path.
    source: Option<&'a str>,
    is_member: bool,
}

/// The check.
pub(crate) fn run(workspace: &Workspace) -> Result<Outcome> {
    let deny: Deny = workspace.read_toml(DENY_FILE)?;
    let metadata = workspace.metadata()?;
    let packages: Vec<Package<'_>> = metadata
        .packages
        .iter()
        .map(|package| Package {
            name: package.name.as_str(),
            version: package.version.to_string(),
            licence: package.license.as_deref(),
            source: package.source.as_ref().map(|source| source.repr.as_str()),
            is_member: metadata.workspace_members.contains(&package.id),
        })
        .collect();
    let findings = packages.iter().flat_map(|package| judge(package, &deny)).collect();
    Ok(Outcome::from_findings(findings, format!("{} packages", packages.len())))
}

fn judge(package: &Package<'_>, deny: &Deny) -> Vec<String> {
    let Package { name, version, .. } = package;
    let mut findings = Vec::new();
    let known = |source: &str| {
        let address = source.trim_start_matches("registry+").trim_start_matches("sparse+");
        deny.sources.allow_registry.iter().any(|allowed| allowed == address)
    };
    match package.source {
        None if package.is_member => {}
        None => findings
            .push(format!("{name} {version} comes from a path outside the workspace: make it a member")),
        Some(source) if known(source) => {}
        Some(source) => findings.push(format!(
            "{name} {version} comes from {source}: only the registries of {DENY_FILE} [sources] are allowed"
        )),
    }
    findings.extend(judge_licence(package, deny).map(|why| format!("{name} {version}: {why}")));
    findings
}

fn judge_licence(package: &Package<'_>, deny: &Deny) -> Option<String> {
    let Some(text) = package.licence else {
        return Some("states no licence: do without it, or ask its authors".to_owned());
    };
    // Old manifests write `MIT/Apache-2.0` for OR.
    let expression = match Expression::parse_mode(
        text,
        ParseMode { allow_slash_as_or_operator: true, ..ParseMode::LAX },
    ) {
        Ok(expression) => expression,
        Err(error) => return Some(format!("licence {text:?} is not an SPDX expression: {}", error.reason)),
    };
    let extra = deny.licenses.exceptions.iter().filter(|exception| exception.name == package.name);
    let allowed: Vec<&String> =
        deny.licenses.allow.iter().chain(extra.flat_map(|exception| &exception.allow)).collect();
    let good = expression.evaluate(|requirement| {
        let wanted = requirement.to_string();
        allowed.iter().any(|allowed| **allowed == wanted)
    });
    (!good).then(|| format!("licence {text:?} is not covered by {DENY_FILE} [licenses] allow"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGISTRY: &str = "registry+https://example.org/index";

    fn judged(licence: Option<&str>, source: Option<&str>, is_member: bool) -> Vec<String> {
        let deny: Deny = toml::from_str(
            "[licenses]\nallow = ['MIT', 'Apache-2.0', 'Apache-2.0 WITH LLVM-exception']\n\
             exceptions = [{ crate = 'special', allow = ['ISC'] }]\n\
             [sources]\nallow-registry = ['https://example.org/index']",
        )
        .unwrap();
        let name = if licence == Some("ISC") { "special" } else { "plain" };
        judge(&Package { name, version: "1.0.0".to_owned(), licence, source, is_member }, &deny)
    }

    #[test]
    fn allowed_expressions_pass() {
        for licence in ["MIT", "MIT OR GPL-3.0-only", "GPL-2.0-only/MIT", "MIT AND Apache-2.0", "ISC"] {
            assert!(judged(Some(licence), Some(REGISTRY), false).is_empty(), "{licence}");
        }
        assert!(judged(Some("Apache-2.0 WITH LLVM-exception"), Some(REGISTRY), false).is_empty());
        assert!(judged(Some("Apache-2.0"), None, true).is_empty());
    }

    #[test]
    fn a_planted_licence_is_found() {
        for licence in
            ["GPL-3.0-only", "MIT AND GPL-3.0-only", "Apache-2.0 WITH Autoconf-exception-2.0", "nonsense"]
        {
            assert_eq!(judged(Some(licence), Some(REGISTRY), false).len(), 1, "{licence}");
        }
        assert_eq!(judged(None, Some(REGISTRY), false).len(), 1);
    }

    #[test]
    fn a_planted_source_is_found() {
        for source in
            [None, Some("git+https://example.org/repo"), Some("registry+https://other.example/index")]
        {
            assert_eq!(judged(Some("MIT"), source, false).len(), 1, "{source:?}");
        }
    }
}
