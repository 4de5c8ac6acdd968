//! Whether rules grant no more than other rules do, and how the difference is told.

use std::collections::BTreeSet;

use super::rule::{PolicyRule, path_covers};
use crate::quote::quote_list;

/// The parts of `wanted` that `held` does not grant, broken down to single verbs, groups, resources and names; empty
/// when all is held.
pub fn covers(held: &[PolicyRule], wanted: &[PolicyRule]) -> Vec<PolicyRule> {
    let parts = wanted.iter().flat_map(break_down);
    parts.filter(|part| !held.iter().any(|rule| rule_covers(rule, part))).collect()
}

fn one(text: &str) -> Vec<String> {
    vec![text.to_owned()]
}

fn break_down(rule: &PolicyRule) -> Vec<PolicyRule> {
    let mut out = Vec::new();
    for group in &rule.api_groups {
        for resource in &rule.resources {
            for verb in &rule.verbs {
                let part = PolicyRule {
                    verbs: one(verb),
                    api_groups: one(group),
                    resources: one(resource),
                    ..PolicyRule::default()
                };
                if rule.resource_names.is_empty() {
                    out.push(part);
                } else {
                    let named = |name: &String| PolicyRule { resource_names: one(name), ..part.clone() };
                    out.extend(rule.resource_names.iter().map(named));
                }
            }
        }
    }
    for path in &rule.non_resource_urls {
        for verb in &rule.verbs {
            out.push(PolicyRule { verbs: one(verb), non_resource_urls: one(path), ..PolicyRule::default() });
        }
    }
    out
}

fn has_all(held: &[String], wanted: &[String]) -> bool {
    held.iter().any(|own| own == "*") || wanted.iter().all(|text| held.contains(text))
}

fn rule_covers(held: &PolicyRule, part: &PolicyRule) -> bool {
    let names = if part.resource_names.is_empty() {
        held.resource_names.is_empty()
    } else {
        held.resource_names.is_empty()
            || part.resource_names.iter().all(|name| held.resource_names.contains(name))
    };
    has_all(&held.verbs, &part.verbs)
        && has_all(&held.api_groups, &part.api_groups)
        && resources_cover(&held.resources, &part.resources)
        && part
            .non_resource_urls
            .iter()
            .all(|path| held.non_resource_urls.iter().any(|own| path_covers(own, path)))
        && names
}

fn resources_cover(held: &[String], wanted: &[String]) -> bool {
    has_all(held, wanted)
        || wanted.iter().all(|resource| {
            held.contains(resource)
                || resource.split_once('/').is_some_and(|(_, sub)| held.contains(&format!("*/{sub}")))
        })
}

/// Rules on the same single resource made one, with their verbs together; others as they are.
pub fn compact(rules: &[PolicyRule]) -> Vec<PolicyRule> {
    let mut out: Vec<PolicyRule> = Vec::new();
    for rule in rules {
        let simple = |rule: &PolicyRule| {
            rule.resource_names.len() <= 1
                && rule.non_resource_urls.is_empty()
                && rule.api_groups.len() == 1
                && rule.resources.len() == 1
        };
        let same = out.iter_mut().find(|own| {
            simple(rule)
                && simple(own)
                && own.api_groups == rule.api_groups
                && own.resources == rule.resources
                && own.resource_names == rule.resource_names
        });
        match same {
            Some(own) => own.verbs.extend(rule.verbs.iter().cloned()),
            None => out.push(rule.clone()),
        }
    }
    out
}

/// Rules as messages print them, sorted: `{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`.
pub fn describe(rules: &[PolicyRule]) -> Vec<String> {
    let lines: BTreeSet<String> = rules.iter().map(describe_one).collect();
    lines.into_iter().collect()
}

fn describe_one(rule: &PolicyRule) -> String {
    let parts = [
        ("APIGroups", &rule.api_groups),
        ("Resources", &rule.resources),
        ("NonResourceURLs", &rule.non_resource_urls),
        ("ResourceNames", &rule.resource_names),
        ("Verbs", &rule.verbs),
    ];
    let parts = parts.iter().filter(|(_, list)| !list.is_empty());
    let parts: Vec<String> = parts.map(|(name, list)| format!("{name}:{}", quote_list(list))).collect();
    format!("{{{}}}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn rules(value: &Value) -> Vec<PolicyRule> {
        value.as_array().unwrap().iter().map(PolicyRule::from_value).collect()
    }

    #[test]
    fn what_is_missing_is_told_in_parts() {
        let held = rules(&json!([{"verbs":["get","list"],"apiGroups":[""],"resources":["pods"]}]));
        let wanted = rules(&json!([
            {"verbs":["get","watch","delete"],"apiGroups":["","apps"],"resources":["pods"]},
            {"verbs":["get"],"nonResourceURLs":["/x"]},
        ]));
        let missing = covers(&held, &wanted);
        assert_eq!(
            describe(&compact(&missing)),
            [
                "{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"watch\" \"delete\"]}",
                "{APIGroups:[\"apps\"], Resources:[\"pods\"], Verbs:[\"get\" \"watch\" \"delete\"]}",
                "{NonResourceURLs:[\"/x\"], Verbs:[\"get\"]}",
            ]
        );
    }

    #[test]
    fn wildcards_cover() {
        let everything = rules(&json!([
            {"verbs":["*"],"apiGroups":["*"],"resources":["*"]},{"verbs":["*"],"nonResourceURLs":["*"]}]));
        let wanted = rules(&json!([
            {"verbs":["get"],"apiGroups":["a"],"resources":["b/c"],"resourceNames":["n"]},
            {"verbs":["get"],"nonResourceURLs":["/x/*"]}]));
        assert!(covers(&everything, &wanted).is_empty());
        let scale = rules(&json!([{"verbs":["get"],"apiGroups":["apps"],"resources":["*/scale"]}]));
        let one = rules(&json!([{"verbs":["get"],"apiGroups":["apps"],"resources":["deployments/scale"]}]));
        assert!(covers(&scale, &one).is_empty());
        assert!(!covers(&one, &scale).is_empty());
        let named =
            rules(&json!([{"verbs":["get"],"apiGroups":[""],"resources":["s"],"resourceNames":["a"]}]));
        let all = rules(&json!([{"verbs":["get"],"apiGroups":[""],"resources":["s"]}]));
        assert!(covers(&all, &named).is_empty());
        assert!(!covers(&named, &all).is_empty());
    }
}
