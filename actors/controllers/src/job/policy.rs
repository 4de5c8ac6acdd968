//! `podFailurePolicy` and `successPolicy`.

use serde_json::Value;
use trireme_schema::view::View;

use super::indexes::Indexes;

/// What a failed pod means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// It counts against the back-off limit.
    pub(super) counts: bool,
    /// Its index is failed for good.
    pub(super) fails_index: bool,
    /// The whole job is failed, and why.
    pub(super) fails_job: Option<String>,
}

/// Judges a failed pod by the first rule that matches it.
pub(super) fn verdict(job: &Value, pod: &Value) -> Verdict {
    let none = Verdict { counts: true, fails_index: false, fails_job: None };
    let rules = job.at("spec").at("podFailurePolicy").list("rules");
    for (index, rule) in rules.iter().enumerate() {
        let Some(found) = matched(rule, pod) else { continue };
        let action = rule.text("action");
        return match action {
            "Ignore" => Verdict { counts: false, ..none },
            "FailIndex" => Verdict { fails_index: true, ..none },
            "FailJob" => Verdict {
                fails_job: Some(format!("{found} matching {action} rule at index {index}")),
                ..none
            },
            _ => none,
        };
    }
    none
}

/// What of a pod matches a rule, in words.
fn matched(rule: &Value, pod: &Value) -> Option<String> {
    let metadata = pod.at("metadata");
    let (namespace, name) = (metadata.text("namespace"), metadata.text("name"));
    let status = pod.at("status");
    if rule.has("onExitCodes") {
        let wanted = rule.at("onExitCodes");
        let containers = status.list("containerStatuses").iter().chain(status.list("initContainerStatuses"));
        return containers.into_iter().find_map(|container| {
            let code = container.at("state").at("terminated").int("exitCode").filter(|code| *code != 0)?;
            let only = wanted.text("containerName");
            if !only.is_empty() && only != container.text("name") {
                return None;
            }
            let among = wanted.list("values").iter().any(|value| value.as_i64() == Some(code));
            let hit = if wanted.text("operator") == "NotIn" { !among } else { among };
            let container = container.text("name");
            hit.then(|| {
                format!("Container {container} for pod {namespace}/{name} failed with exit code {code}")
            })
        });
    }
    let found = rule.list("onPodConditions").iter().find(|pattern| {
        let wanted = if pattern.has("status") { pattern.text("status") } else { "True" };
        status.list("conditions").iter().any(|condition| {
            condition.text("type") == pattern.text("type") && condition.text("status") == wanted
        })
    })?;
    Some(format!("Pod {namespace}/{name} has condition {}", found.text("type")))
}

/// Why a job has succeeded before all its indexes have, if it has.
pub(super) fn success(job: &Value, completions: i64, succeeded: &Indexes) -> Option<String> {
    let rules = job.at("spec").at("successPolicy").list("rules");
    if succeeded.total() == 0 {
        return None;
    }
    let met = |rule: &Value| {
        let count = rule.int("succeededCount");
        if !rule.has("succeededIndexes") {
            return count.is_some_and(|count| succeeded.total() >= count);
        }
        let wanted = Indexes::parse(rule.text("succeededIndexes"), completions);
        let have = succeeded.common(&wanted);
        have >= count.unwrap_or_else(|| wanted.total())
    };
    rules.iter().position(met).map(|index| format!("Matched rules at index {index}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(code: i64) -> Value {
        json!({
            "metadata": {"namespace": "d", "name": "p"},
            "status": {
                "conditions": [{"type": "DisruptionTarget", "status": "True"}],
                "containerStatuses": [{"name": "c", "state": {"terminated": {"exitCode": code}}}],
            },
        })
    }

    fn judge(rules: Value, code: i64) -> Verdict {
        verdict(&json!({"spec": {"podFailurePolicy": {"rules": rules}}}), &pod(code))
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let codes = |action: &str, operator: &str, values: Value| json!({"action": action, "onExitCodes": {"operator": operator, "values": values}});
        let disrupted = json!({"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]});
        let rules = json!([codes("FailJob", "In", json!([42])), disrupted.clone()]);
        assert_eq!(
            judge(rules.clone(), 42).fails_job.as_deref(),
            Some("Container c for pod d/p failed with exit code 42 matching FailJob rule at index 0")
        );
        assert!(!judge(rules, 1).counts);
        assert!(judge(json!([codes("FailIndex", "NotIn", json!([1]))]), 2).fails_index);
        assert!(!judge(json!([codes("FailIndex", "NotIn", json!([2]))]), 2).fails_index);
        let unknown = json!([{"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "False"}]}]);
        assert_eq!(judge(unknown, 1).fails_job, None);
        let message =
            judge(json!([{"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget"}]}]), 1);
        assert_eq!(
            message.fails_job.as_deref(),
            Some("Pod d/p has condition DisruptionTarget matching FailJob rule at index 0")
        );
        let other = json!([{"action": "FailJob", "onExitCodes": {"containerName": "x", "operator": "In", "values": [1]}}]);
        assert_eq!(judge(other, 1).fails_job, None);
    }

    #[test]
    fn success_needs_the_indexes_or_so_many_of_them() {
        let met = |rule: Value, done: &str| {
            let job = json!({"spec": {"successPolicy": {"rules": [rule]}}});
            success(&job, 5, &Indexes::parse(done, 5)).is_some()
        };
        assert!(met(json!({"succeededIndexes": "0,2-3", "succeededCount": 1}), "2"));
        assert!(!met(json!({"succeededIndexes": "0,2-3", "succeededCount": 1}), "1,4"));
        assert!(!met(json!({"succeededIndexes": "0,2-3"}), "0,2"));
        assert!(met(json!({"succeededIndexes": "0,2-3"}), "0-3"));
        assert!(met(json!({"succeededCount": 2}), "1,4"));
        assert!(!met(json!({"succeededCount": 1}), ""));
    }
}
