//! `wait`

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::get::write;
use crate::arguments::Wait;
use crate::error::KubectlError;
use crate::output::JsonPath;
use crate::session::Session;
use crate::target;

/// Pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

enum Goal {
    Gone,
    There,
    Condition(String, String),
    Path(JsonPath, Option<String>),
}

pub(super) async fn run(session: &Session, wait: &Wait) -> Result<(), KubectlError> {
    let goal = goal(&wait.what)?;
    let until = Instant::now() + super::duration(&wait.timeout)?;
    let catalogue = session.catalogue().await?;
    let mut any = false;
    for target in target::read(&wait.selection.words, catalogue)? {
        for name in super::delete::names(session, &target, &wait.selection).await? {
            any = true;
            loop {
                let found = match session.get(&target.kind, &session.namespace, &name).await {
                    Ok(object) => Some(object),
                    Err(error) if error.is_not_found() => None,
                    Err(error) => return Err(error),
                };
                if let (None, Goal::Condition(..) | Goal::Path(..)) = (&found, &goal) {
                    // Nothing to wait on.
                    session.get(&target.kind, &session.namespace, &name).await?;
                }
                if holds(&goal, found.as_ref()) {
                    let verb = if matches!(goal, Goal::Gone) { "deleted" } else { "condition met" };
                    write(&format!("{}/{name} {verb}\n", target.kind.shown()))?;
                    break;
                }
                if Instant::now() >= until {
                    return Err(KubectlError::usage(format!(
                        "timed out waiting for the condition on {}/{name}",
                        target.kind.plural
                    )));
                }
                sleep(LOOK_AGAIN).await;
            }
        }
    }
    if !any && !matches!(goal, Goal::Gone) {
        return Err(KubectlError::usage("no matching resources found"));
    }
    Ok(())
}

fn goal(text: &str) -> Result<Goal, KubectlError> {
    if let Some(path) = text.strip_prefix("jsonpath=") {
        // The value stands behind the last = outside of braces.
        let (path, value) = match path.rfind('}').map(|at| path.split_at(at + 1)) {
            Some((path, rest)) => (path, rest.strip_prefix('=')),
            None => path.rsplit_once('=').map_or((path, None), |(path, value)| (path, Some(value))),
        };
        let bare = |text: &str| text.trim_matches(|c| c == '\'' || c == '"').to_owned();
        return Ok(Goal::Path(JsonPath::parse(&bare(path))?, value.map(bare)));
    }
    if let Some(condition) = text.strip_prefix("condition=") {
        let (name, value) = condition.split_once('=').unwrap_or((condition, "true"));
        return Ok(Goal::Condition(name.to_owned(), value.to_owned()));
    }
    match text.to_lowercase().as_str() {
        "delete" => Ok(Goal::Gone),
        "create" => Ok(Goal::There),
        _ => Err(KubectlError::usage(format!("unrecognized condition: \"{text}\""))),
    }
}

fn holds(goal: &Goal, object: Option<&Value>) -> bool {
    let Some(object) = object else { return matches!(goal, Goal::Gone) };
    match goal {
        Goal::Gone => false,
        Goal::There => true,
        Goal::Condition(name, value) => {
            let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
            let mut of_type =
                conditions.filter(|c| c["type"].as_str().is_some_and(|t| t.eq_ignore_ascii_case(name)));
            let fresh = |c: &Value| match (
                c["observedGeneration"].as_i64(),
                object["metadata"]["generation"].as_i64(),
            ) {
                (Some(seen), Some(now)) => seen >= now,
                _ => true,
            };
            of_type.any(|c| {
                fresh(c) && c["status"].as_str().is_some_and(|status| status.eq_ignore_ascii_case(value))
            })
        }
        Goal::Path(path, None) => !path.values(object).is_empty(),
        Goal::Path(path, Some(value)) => path.values(object).iter().any(|found| match found {
            Value::String(text) => text == value,
            other => other.to_string() == *value,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn goals() {
        let object = json!({"metadata": {"generation": 2}, "status": {"phase": "Running", "n": 3, "conditions": [
            {"type": "Ready", "status": "True"}, {"type": "Old", "status": "True", "observedGeneration": 1}]}});
        for (text, expected) in [
            ("condition=ready", true),
            ("condition=Ready=false", false),
            ("condition=Old", false),
            ("jsonpath={.status.phase}=Running", true),
            ("jsonpath='{.status.n}'=3", true),
            ("jsonpath={.status.conditions[?(@.type=='Ready')].status}=True", true),
            ("jsonpath={.status.missing}", false),
            ("create", true),
            ("delete", false),
        ] {
            assert_eq!(holds(&goal(text).unwrap(), Some(&object)), expected, "{text}");
        }
        assert!(holds(&goal("delete").unwrap(), None));
        assert!(goal("nonsense").is_err());
    }
}
