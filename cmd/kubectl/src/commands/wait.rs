//! `wait`

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::found::{Found, Query};
use crate::arguments::{DryRun, Wait};
use crate::error::{Failures, KubectlError};
use crate::output::{JsonPath, Reporter};
use crate::session::Session;

/// Pause between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How long a negative timeout waits, as upstream.
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

enum Goal {
    Gone,
    There,
    Condition(String, String),
    Path(JsonPath, Option<String>),
}

pub(super) async fn run(session: &Session, wait: &Wait) -> Result<(), KubectlError> {
    let goal = goal(&wait.what)?;
    let reporter = Reporter::new(&wait.printing, DryRun::None)?;
    let until = Instant::now().checked_add(if wait.timeout == Duration::MAX { WEEK } else { wait.timeout });
    let mut failures = Failures::default();
    let mut query = Query::of(&wait.words, &wait.files).selector(wait.selector.as_deref());
    // A selector outdoes --all, as upstream.
    query.all = wait.all && wait.selector.is_none() && wait.field_selector.is_none();
    query.field_selector = wait.field_selector.as_deref();
    query.all_namespaces = wait.all_namespaces;
    let mut found = query.find(session, &mut failures).await?;
    while found.is_empty() && matches!(goal, Goal::There) && until.is_none_or(|until| Instant::now() < until)
    {
        sleep(LOOK_AGAIN).await;
        found = query.find(session, &mut failures).await?;
    }
    if found.is_empty() && failures.is_empty() && !matches!(goal, Goal::Gone) {
        return Err(KubectlError::usage("no matching resources found"));
    }
    for one in &found {
        let _ = failures.note(arrive(session, one, &goal, until, &reporter).await);
    }
    failures.finish()
}

async fn arrive(
    session: &Session,
    one: &Found,
    goal: &Goal,
    until: Option<Instant>,
    reporter: &Reporter,
) -> Result<(), KubectlError> {
    loop {
        let found = match session.get(&one.kind, &one.namespace, &one.name).await {
            Ok(object) => Some(object),
            Err(error) if error.is_not_found() && matches!(goal, Goal::Gone | Goal::There) => None,
            // Nothing to wait on.
            Err(error) => return Err(error),
        };
        if holds(goal, found.as_ref()) {
            let verb = if matches!(goal, Goal::Gone) { "deleted" } else { "condition met" };
            let object = found.or_else(|| one.object.clone());
            let object = object.unwrap_or_else(|| json!({"metadata": {"name": one.name}}));
            return reporter.report(&one.kind, object, verb);
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            return Err(KubectlError::usage(format!(
                "timed out waiting for the condition on {}/{}",
                one.kind.plural, one.name
            )));
        }
        sleep(LOOK_AGAIN).await;
    }
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
