//! Which crate may depend on which.

use super::policy::{CrateRule, LAYERS_FILE, Layers};
use crate::report::Outcome;
use crate::workspace::Workspace;
use anyhow::Result;
use cargo_metadata::{DependencyKind, Metadata};
use std::collections::BTreeSet;

/// One member as cargo sees it.
#[derive(Debug, Default)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) folder: String,
    pub(crate) dependencies: Vec<Dependency>,
}

/// One line of a member's manifest.
#[derive(Debug)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) for_tests: bool,
}

/// The check.
pub(crate) fn run(workspace: &Workspace) -> Result<Outcome> {
    let layers: Layers = workspace.read_toml(LAYERS_FILE)?;
    let members = members(workspace.metadata()?);
    Ok(Outcome::from_findings(
        judge(&layers, &members),
        format!("{} crates along their arrows", members.len()),
    ))
}

/// The members with what they name in their manifests.
pub(crate) fn members(metadata: &Metadata) -> Vec<Member> {
    let folder = |manifest: &cargo_metadata::camino::Utf8Path| {
        let folder = manifest.parent().unwrap_or(manifest);
        folder.strip_prefix(&metadata.workspace_root).unwrap_or(folder).to_string()
    };
    let packages = metadata.workspace_packages();
    let member = |package: &&cargo_metadata::Package| Member {
        name: package.name.to_string(),
        folder: folder(&package.manifest_path),
        dependencies: package
            .dependencies
            .iter()
            .map(|dependency| Dependency {
                name: dependency.name.clone(),
                for_tests: dependency.kind == DependencyKind::Development,
            })
            .collect(),
    };
    packages.iter().map(member).collect()
}

/// What breaks the rules.
fn judge(layers: &Layers, members: &[Member]) -> Vec<String> {
    let names: BTreeSet<&str> = members.iter().map(|member| member.name.as_str()).collect();
    let mut findings = Vec::new();
    for name in layers.crates.keys().filter(|name| !names.contains(name.as_str())) {
        findings.push(format!("{LAYERS_FILE} lists {name}, which is not a member: remove the entry"));
    }
    for member in members {
        match layers.crates.get(&member.name) {
            Some(rule) => judge_member(layers, rule, member, &names, &mut findings),
            None => findings.push(format!(
                "{} ({}) is not in {LAYERS_FILE}: add it with its folder and arrows (docs/checklists/checks.md)",
                member.name, member.folder
            )),
        }
    }
    findings.extend(cycles(layers));
    findings
}

fn judge_member(
    layers: &Layers,
    rule: &CrateRule,
    member: &Member,
    names: &BTreeSet<&str>,
    out: &mut Vec<String>,
) {
    let who = &member.name;
    if rule.folder != member.folder {
        out.push(format!("{who} lies in {}, but {LAYERS_FILE} says {}", member.folder, rule.folder));
    }
    for dependency in &member.dependencies {
        let what = &dependency.name;
        if names.contains(what.as_str()) {
            let allowed =
                rule.may_use.contains(what) || (dependency.for_tests && rule.tests_may_use.contains(what));
            if !allowed {
                out.push(format!(
                    "{who} depends on {what}: no such arrow in {LAYERS_FILE}; move the code, or argue for the arrow"
                ));
            }
            continue;
        }
        if let Some(owners) = layers.exclusive.get(what)
            && !owners.contains(who)
        {
            out.push(format!("{who} depends on {what}: only {} may; use what it offers", owners.join(", ")));
        }
        if rule.pure && !dependency.for_tests && !rule.external.contains(what) {
            out.push(format!(
                "{who} is pure and depends on {what}: only [{}] are allowed; keep it in a shell crate, or add it \
                 with the reason that it reads no clock, randomness or I/O",
                rule.external.join(", ")
            ));
        }
    }
}

/// Arrows that lead back; cargo refuses a cycle that exists, this refuses one that is merely allowed.
fn cycles(layers: &Layers) -> Vec<String> {
    let mut findings = Vec::new();
    for start in layers.crates.keys() {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&str> = vec![start];
        while let Some(name) = open.pop() {
            let Some(rule) = layers.crates.get(name) else {
                findings.push(format!("{LAYERS_FILE} allows an arrow to {name}, which it does not list"));
                continue;
            };
            open.extend(rule.may_use.iter().map(String::as_str).filter(|next| seen.insert(*next)));
        }
        if seen.contains(start.as_str()) {
            findings.push(format!(
                "{LAYERS_FILE}: the arrows of {start} lead back to it; arrows point down only"
            ));
        }
    }
    findings.sort();
    findings.dedup();
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = r#"
        [exclusive]
        actix = ["kernel"]
        [crates.core]
        folder = "actors/core"
        pure = true
        external = ["serde"]
        [crates.kernel]
        folder = "actors/kernel"
        may-use = ["core"]
        [crates.bus]
        folder = "net/bus"
        tests-may-use = ["kernel"]
    "#;

    fn member(name: &str, folder: &str, dependencies: &[&str]) -> Member {
        let dependency = |name: &&str| match name.strip_prefix("test:") {
            Some(name) => Dependency { name: name.to_owned(), for_tests: true },
            None => Dependency { name: (*name).to_owned(), for_tests: false },
        };
        Member {
            name: name.to_owned(),
            folder: folder.to_owned(),
            dependencies: dependencies.iter().map(dependency).collect(),
        }
    }

    fn findings(core: &[&str], kernel: &[&str], bus: &[&str]) -> Vec<String> {
        let members = [
            member("core", "actors/core", core),
            member("kernel", "actors/kernel", kernel),
            member("bus", "net/bus", bus),
        ];
        judge(&toml::from_str(RULES).unwrap(), &members)
    }

    #[test]
    fn allowed_arrows_pass() {
        let none: [String; 0] = [];
        assert_eq!(
            findings(&["serde", "test:proptest"], &["core", "actix"], &["quinn", "test:kernel"]),
            none
        );
    }

    #[test]
    fn a_planted_violation_is_found() {
        let cases: [([&[&str]; 3], &str); 5] = [
            ([&["kernel"], &[], &[]], "core depends on kernel"),
            ([&[], &[], &["kernel"]], "bus depends on kernel"),
            ([&[], &[], &["actix"]], "only kernel may"),
            ([&[], &[], &["test:actix"]], "only kernel may"),
            ([&["tokio"], &[], &[]], "core is pure and depends on tokio"),
        ];
        for ([core, kernel, bus], expected) in cases {
            let found = findings(core, kernel, bus);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].contains(expected), "{found:?}");
        }
    }

    #[test]
    fn every_member_must_be_listed_in_its_folder() {
        let layers: Layers = toml::from_str(RULES).unwrap();
        let members = [member("core", "actors/elsewhere", &[]), member("new", "net/new", &[])];
        let found = judge(&layers, &members);
        assert!(found.iter().any(|finding| finding.contains("new (net/new) is not in")));
        assert!(found.iter().any(|finding| finding.contains("lies in actors/elsewhere")));
        assert!(found.iter().any(|finding| finding.contains("lists kernel, which is not a member")));
    }

    #[test]
    fn arrows_may_not_lead_back() {
        let layers = toml::from_str(
            "[crates.a]\nfolder = 'a'\nmay-use = ['b']\n[crates.b]\nfolder = 'b'\nmay-use = ['a', 'gone']",
        )
        .unwrap();
        let found = cycles(&layers);
        assert!(found.iter().any(|finding| finding.contains("the arrows of a lead back")), "{found:?}");
        assert!(found.iter().any(|finding| finding.contains("arrow to gone")), "{found:?}");
    }
}
