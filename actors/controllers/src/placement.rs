//! What a pod asks of its node, as the scheduler reads it: node selectors, required affinity, taints.

use serde_json::Value;
use trireme_schema::view::View;

/// Whether a pod's node selector and required node affinity allow a node.
pub(crate) fn node_is_selected(pod_spec: &Value, node: &Value) -> bool {
    let labels = node.at("metadata").at("labels");
    let wanted = pod_spec.map("nodeSelector").into_iter().flatten();
    for (key, value) in wanted {
        if labels.at(key) != value {
            return false;
        }
    }
    let required =
        pod_spec.below(&["affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"]);
    required.is_null() || required.list("nodeSelectorTerms").iter().any(|term| term_matches(term, node))
}

/// A term with neither expressions nor fields matches nothing.
fn term_matches(term: &Value, node: &Value) -> bool {
    let (expressions, fields) = (term.list("matchExpressions"), term.list("matchFields"));
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    let metadata = node.at("metadata");
    let label = |key: &str| metadata.at("labels").at(key).as_str();
    let field = |key: &str| if key == "metadata.name" { metadata.at("name").as_str() } else { None };
    expressions.iter().all(|expression| expression_matches(expression, label(expression.text("key"))))
        && fields.iter().all(|expression| expression_matches(expression, field(expression.text("key"))))
}

fn expression_matches(expression: &Value, value: Option<&str>) -> bool {
    let values = expression.list("values");
    let among = |value: &str| values.iter().any(|other| other.as_str() == Some(value));
    let compared = || {
        let bound = values.first()?.as_str()?.parse::<i64>().ok()?;
        Some(value?.parse::<i64>().ok()?.cmp(&bound))
    };
    match expression.text("operator") {
        "In" => value.is_some_and(among),
        "NotIn" => !value.is_some_and(among),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compared().is_some_and(std::cmp::Ordering::is_gt),
        "Lt" => compared().is_some_and(std::cmp::Ordering::is_lt),
        _ => false,
    }
}

/// Whether a toleration covers a taint. A toleration without an effect covers all of them, one with operator `Exists`
/// and no key every key.
pub(crate) fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let (effect, key) = (toleration.text("effect"), toleration.text("key"));
    if (!effect.is_empty() && effect != taint.text("effect")) || (!key.is_empty() && key != taint.text("key"))
    {
        return false;
    }
    match toleration.text("operator") {
        "Exists" => true,
        "" | "Equal" => toleration.text("value") == taint.text("value"),
        _ => false,
    }
}

/// Whether a taint with one of the effects is covered by none of the tolerations.
pub(crate) fn has_untolerated(tolerations: &[Value], node: &Value, effects: &[&str]) -> bool {
    let taints = node.at("spec").list("taints").iter();
    let mut taints = taints.filter(|taint| effects.contains(&taint.text("effect")));
    taints.any(|taint| !tolerations.iter().any(|toleration| tolerates(toleration, taint)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn terms_are_alternatives_and_expressions_add_up() {
        let node = json!({"metadata": {"name": "n1", "labels": {"zone": "a", "cores": "8"}}});
        let with = |terms: Value| {
            let required =
                json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}});
            node_is_selected(&json!({"affinity": {"nodeAffinity": required}}), &node)
        };
        let zone =
            |operator: &str, value: &str| json!({"key": "zone", "operator": operator, "values": [value]});
        assert!(with(
            json!([{"matchExpressions": [zone("In", "b")]}, {"matchExpressions": [zone("In", "a")]}])
        ));
        assert!(!with(json!([{"matchExpressions": [zone("In", "a"), zone("NotIn", "a")]}])));
        assert!(with(
            json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}])
        ));
        assert!(with(json!([{"matchExpressions": [{"key": "cores", "operator": "Gt", "values": ["7"]}]}])));
        assert!(!with(json!([{}])));
        assert!(!node_is_selected(&json!({"nodeSelector": {"zone": "b"}}), &node));
    }

    #[test]
    fn taints_need_a_toleration_of_their_own() {
        let node = json!({"spec": {"taints": [{"key": "k", "value": "v", "effect": "NoExecute"}]}});
        let untolerated = |toleration: Value| has_untolerated(&[toleration], &node, &["NoExecute"]);
        assert!(untolerated(json!({"key": "k"})));
        assert!(!untolerated(json!({"key": "k", "value": "v"})));
        assert!(!untolerated(json!({"operator": "Exists"})));
        assert!(untolerated(json!({"operator": "Exists", "effect": "NoSchedule"})));
        assert!(!has_untolerated(&[], &node, &["NoSchedule"]));
    }
}
