//! Roles and their bindings, as `create` makes them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::arguments::{ClusterRules, NamespacedSubjects, Rules, Subjects};
use crate::catalogue::Catalogue;
use crate::error::KubectlError;

const GROUP: &str = "rbac.authorization.k8s.io";

pub(super) fn role(rules: &Rules, catalogue: &Catalogue) -> Result<Value, KubectlError> {
    let rules_made = resource_rules(rules, catalogue)?;
    Ok(json!({"apiVersion": format!("{GROUP}/v1"), "kind": "Role", "metadata": {"name": rules.name},
        "rules": rules_made}))
}

pub(super) fn cluster_role(role: &ClusterRules, catalogue: &Catalogue) -> Result<Value, KubectlError> {
    let rules = &role.rules;
    let mut object = json!({"apiVersion": format!("{GROUP}/v1"), "kind": "ClusterRole",
        "metadata": {"name": rules.name}, "rules": []});
    if let Some(selector) = &role.aggregation_rule {
        if !rules.resource.is_empty() || !role.non_resource_url.is_empty() || !rules.resource_name.is_empty()
        {
            return Err(KubectlError::usage(
                "aggregation rule must be specified without nonResourceURLs, resources or resourceNames",
            ));
        }
        let labels = pairs(selector)?;
        object["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": labels}]});
        return Ok(object);
    }
    let mut made = Vec::new();
    if !rules.resource.is_empty() || role.non_resource_url.is_empty() {
        made = resource_rules(rules, catalogue)?;
    }
    if !role.non_resource_url.is_empty() {
        if let Some(url) = role.non_resource_url.iter().find(|url| !url.starts_with('/') && *url != "*") {
            return Err(KubectlError::usage(format!("nonResourceURL should start with /, not {url}")));
        }
        made.push(json!({"verbs": verbs(rules)?, "nonResourceURLs": role.non_resource_url}));
    }
    object["rules"] = made.into();
    Ok(object)
}

fn verbs(rules: &Rules) -> Result<Vec<String>, KubectlError> {
    if rules.verb.is_empty() {
        return Err(KubectlError::usage("at least one verb must be specified"));
    }
    // All of them makes the others needless.
    if rules.verb.iter().any(|verb| verb == "*") {
        return Ok(vec!["*".to_owned()]);
    }
    let mut verbs = Vec::new();
    for verb in &rules.verb {
        if !verbs.contains(verb) {
            verbs.push(verb.clone());
        }
    }
    Ok(verbs)
}

/// One rule for each API group.
fn resource_rules(rules: &Rules, catalogue: &Catalogue) -> Result<Vec<Value>, KubectlError> {
    let verbs = verbs(rules)?;
    if rules.resource.is_empty() {
        return Err(KubectlError::usage("at least one resource must be specified"));
    }
    if !rules.resource_name.is_empty() && rules.resource.len() > 1 {
        return Err(KubectlError::usage("resource name can not be applied to multiple resources"));
    }
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for word in &rules.resource {
        let (group, resource) = if word == "*" {
            ("*".to_owned(), "*".to_owned())
        } else {
            let (base, subresource) = word.split_once('/').unwrap_or((word, ""));
            let kind = catalogue.find(base)?;
            let slash = if subresource.is_empty() { "" } else { "/" };
            (kind.group.clone(), format!("{}{slash}{subresource}", kind.plural))
        };
        let resources = groups.entry(group).or_default();
        if !resources.contains(&resource) {
            resources.push(resource);
        }
    }
    let rule = |(group, resources): (String, Vec<String>)| {
        let mut rule = json!({"verbs": verbs, "apiGroups": [group], "resources": resources});
        if !rules.resource_name.is_empty() {
            rule["resourceNames"] = rules.resource_name.clone().into();
        }
        rule
    };
    Ok(groups.into_iter().map(rule).collect())
}

pub(super) fn role_binding(binding: &NamespacedSubjects) -> Result<Value, KubectlError> {
    let (kind, name) = match (&binding.subjects.clusterrole, &binding.role) {
        (Some(name), None) => ("ClusterRole", name),
        (None, Some(name)) => ("Role", name),
        _ => return Err(KubectlError::usage("exactly one of clusterrole or role must be specified")),
    };
    bound("RoleBinding", &binding.subjects, kind, name)
}

pub(super) fn cluster_role_binding(subjects: &Subjects) -> Result<Value, KubectlError> {
    let name = subjects
        .clusterrole
        .as_ref()
        .ok_or_else(|| KubectlError::usage("required flag(s) \"clusterrole\" not set"))?;
    bound("ClusterRoleBinding", subjects, "ClusterRole", name)
}

fn bound(kind: &str, whom: &Subjects, role_kind: &str, role: &str) -> Result<Value, KubectlError> {
    let mut subjects = Vec::new();
    for (kind, names) in [("User", &whom.users), ("Group", &whom.group)] {
        subjects.extend(names.iter().map(|name| json!({"kind": kind, "apiGroup": GROUP, "name": name})));
    }
    for account in &whom.serviceaccount {
        let (namespace, name) = account
            .split_once(':')
            .filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty() && !name.contains(':'))
            .ok_or_else(|| KubectlError::usage("serviceaccount must be <namespace>:<name>"))?;
        subjects.push(json!({"kind": "ServiceAccount", "name": name, "namespace": namespace}));
    }
    Ok(json!({"apiVersion": format!("{GROUP}/v1"), "kind": kind, "metadata": {"name": whom.name},
        "roleRef": {"apiGroup": GROUP, "kind": role_kind, "name": role}, "subjects": subjects}))
}

/// `a=b,c=d` as labels.
pub(super) fn pairs(text: &str) -> Result<Map<String, Value>, KubectlError> {
    text.split(',')
        .map(|term| {
            let pair = term.split_once("==").or_else(|| term.split_once('='));
            let (key, value) =
                pair.filter(|(key, _)| !key.is_empty() && !key.ends_with('!')).ok_or_else(|| {
                    KubectlError::usage(format!("invalid selector: {term}, expected key=value"))
                })?;
            Ok((key.to_owned(), value.into()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::{Command, CreateKind};

    fn kind(line: &str) -> CreateKind {
        let mut parsed = crate::parse::parse(line.split(' ').map(str::to_owned).collect()).unwrap();
        crate::commands::bind_users(&mut parsed);
        let Command::Create(create) = parsed.command else { panic!("no create") };
        create.kind.unwrap()
    }

    fn made(line: &str) -> Result<Value, KubectlError> {
        let catalogue = crate::catalogue::tests::catalogue();
        match kind(line) {
            CreateKind::Role(rules) => role(&rules, &catalogue),
            CreateKind::Clusterrole(rules) => cluster_role(&rules, &catalogue),
            CreateKind::Rolebinding(binding) => role_binding(&binding),
            CreateKind::Clusterrolebinding(subjects) => cluster_role_binding(&subjects),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn rules_by_group() {
        let object = made("create role r --verb=get,list --verb=get --resource=deploy,po,pods/log").unwrap();
        assert_eq!(
            object["rules"],
            json!([{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "pods/log"]},
                {"verbs": ["get", "list"], "apiGroups": ["apps"], "resources": ["deployments"]}])
        );
        let named =
            made("create role r --verb=get --resource=po --resource-name=a --resource-name=b").unwrap();
        assert_eq!(named["rules"][0]["resourceNames"], json!(["a", "b"]));
        for (line, text) in [
            ("create role r --resource=po", "error: at least one verb must be specified"),
            ("create role r --verb=get", "error: at least one resource must be specified"),
            (
                "create role r --verb=get --resource=gadgets",
                "error: the server doesn't have a resource type \"gadgets\"",
            ),
        ] {
            assert_eq!(made(line).unwrap_err().to_string(), text, "{line}");
        }
    }

    #[test]
    fn cluster_roles() {
        let object = made("create clusterrole r --verb=get --non-resource-url=/logs/*").unwrap();
        assert_eq!(object["rules"], json!([{"verbs": ["get"], "nonResourceURLs": ["/logs/*"]}]));
        let object = made("create clusterrole r --aggregation-rule=a=b").unwrap();
        assert_eq!(object["aggregationRule"]["clusterRoleSelectors"], json!([{"matchLabels": {"a": "b"}}]));
        assert!(made("create clusterrole r --verb=get").is_err());
        assert!(made("create clusterrole r --aggregation-rule=a=b --resource=po").is_err());
    }

    #[test]
    fn bindings() {
        let object =
            made("create rolebinding b --role=r --user=u --group=g --serviceaccount=ns:sa --user=v").unwrap();
        assert_eq!(object["roleRef"], json!({"apiGroup": GROUP, "kind": "Role", "name": "r"}));
        assert_eq!(
            object["subjects"],
            json!([{"kind": "User", "apiGroup": GROUP, "name": "u"}, {"kind": "User", "apiGroup": GROUP, "name": "v"},
                {"kind": "Group", "apiGroup": GROUP, "name": "g"},
                {"kind": "ServiceAccount", "name": "sa", "namespace": "ns"}])
        );
        assert_eq!(
            made("create rolebinding b --role=r --clusterrole=c").unwrap_err().to_string(),
            "error: exactly one of clusterrole or role must be specified"
        );
        assert_eq!(
            made("create clusterrolebinding b --clusterrole=c --serviceaccount=x").unwrap_err().to_string(),
            "error: serviceaccount must be <namespace>:<name>"
        );
    }
}
