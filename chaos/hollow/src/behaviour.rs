//! [`Rules`] and [`Behaviour`]: how long pods take, and how they end.

use std::collections::BTreeMap;
use std::time::Duration;

use trireme_core::Rng;

use crate::pod::PodView;

/// Where the annotations of a pod begin.
const PREFIX: &str = "hollow.trireme.io/";
/// The annotation by which a pod of an indexed Job knows its index.
const JOB_INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// The label by which a pod of a StatefulSet knows its ordinal.
const POD_INDEX: &str = "apps.kubernetes.io/pod-index";

/// What pods do that say nothing of their own.
#[derive(Clone, Debug)]
pub struct Rules {
    /// From bound to running: shortest and longest.
    pub start: (Duration, Duration),
    /// From running to ready.
    pub ready: Duration,
    /// How long pods run whose restartPolicy is not `Always`; they end well.
    pub run: Duration,
    /// From being told to leave to being gone, at most the pod's grace.
    pub leave: Duration,
    /// How many of a thousand pods whose restartPolicy is not `Always` fail.
    pub fail_per_mille: u64,
}

impl Default for Rules {
    /// At once, but for pods that are to end: those run for a second.
    fn default() -> Self {
        let none = Duration::ZERO;
        Self { start: (none, none), ready: none, run: Duration::from_secs(1), leave: none, fail_per_mille: 0 }
    }
}

/// What one pod does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behaviour {
    /// From bound to running.
    pub start: Duration,
    /// From running to ready; `None` for never.
    pub ready: Option<Duration>,
    /// From running to its end; `None` for a pod that runs on.
    pub exit: Option<Duration>,
    /// Its exit code.
    pub code: i64,
    /// From being told to leave to being gone.
    pub leave: Duration,
}

impl Behaviour {
    /// By rule, where the pod's annotations do not say otherwise. What is said for the pod's index or its node counts
    /// before what is said for all; an annotation that cannot be read counts for nothing.
    pub fn of(pod: &PodView, rules: &Rules, rng: &mut Rng) -> Self {
        let restarts = !matches!(pod.spec.restart_policy.as_str(), "Never" | "OnFailure");
        let annotations: &BTreeMap<String, String> = &pod.metadata.annotations;
        let index = annotations.get(JOB_INDEX).or_else(|| pod.metadata.labels.get(POD_INDEX));
        let text = |name: &str| {
            let special = |of: &String| annotations.get(&format!("{PREFIX}{name}.{of}"));
            let said = index.and_then(special).or_else(|| special(&pod.spec.node_name));
            said.or_else(|| annotations.get(&format!("{PREFIX}{name}"))).map(String::as_str)
        };
        let span = |name: &str| text(name).and_then(parse_span);
        let fails = !restarts && rng.chance(rules.fail_per_mille, 1000);
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let (shortest, longest) = rules.start;
        let drawn = Duration::from_micros(rng.between(micros(shortest), micros(longest.max(shortest))));
        let never = text("never-ready") == Some("true");
        Self {
            start: span("start-after").unwrap_or(drawn),
            ready: (!never).then(|| span("ready-after").unwrap_or(rules.ready)),
            exit: span("exit-after").or((!restarts).then_some(rules.run)),
            code: text("exit-code").and_then(|text| text.parse().ok()).unwrap_or(i64::from(fails)),
            leave: span("leave-after").unwrap_or(rules.leave),
        }
    }
}

fn parse_span(text: &str) -> Option<Duration> {
    let nanos = trireme_schema::time::parse_duration_nanos(text)?;
    u64::try_from(nanos).ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_win_over_rules() {
        let rules = Rules { start: (Duration::from_secs(2), Duration::from_secs(2)), ..Rules::default() };
        let mut pod = PodView::default();
        let of = |pod: &PodView| Behaviour::of(pod, &rules, &mut Rng::new(1));
        let plain = of(&pod);
        assert_eq!(
            (plain.start, plain.exit, plain.ready),
            (Duration::from_secs(2), None, Some(Duration::ZERO))
        );
        pod.spec.restart_policy = "Never".to_owned();
        assert_eq!(of(&pod).exit, Some(Duration::from_secs(1)));
        pod.spec.restart_policy = "Always".to_owned();
        for (name, value) in
            [("start-after", "250ms"), ("exit-code", "3"), ("exit-after", "x"), ("never-ready", "true")]
        {
            pod.metadata.annotations.insert(format!("{PREFIX}{name}"), value.to_owned());
        }
        let said = of(&pod);
        assert_eq!((said.start, said.code, said.ready), (Duration::from_millis(250), 3, None));
        assert_eq!(said.exit, None, "what cannot be read counts for nothing");
    }

    #[test]
    fn what_is_said_for_an_index_or_a_node_counts_first() {
        let rules = Rules::default();
        let mut pod = PodView::default();
        pod.spec.node_name = "n-1".to_owned();
        for (name, value) in [("exit-code", "1"), ("exit-code.2", "2"), ("exit-code.n-1", "3")] {
            pod.metadata.annotations.insert(format!("{PREFIX}{name}"), value.to_owned());
        }
        let code = |pod: &PodView| Behaviour::of(pod, &rules, &mut Rng::new(1)).code;
        assert_eq!(code(&pod), 3);
        pod.metadata.labels.insert(POD_INDEX.to_owned(), "2".to_owned());
        assert_eq!(code(&pod), 2);
        pod.metadata.annotations.insert(JOB_INDEX.to_owned(), "7".to_owned());
        assert_eq!(code(&pod), 3, "a Job's index is another one");
        pod.spec.node_name = "n-2".to_owned();
        assert_eq!(code(&pod), 1);
    }
}
