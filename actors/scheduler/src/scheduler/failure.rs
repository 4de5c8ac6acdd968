//! PostFilter, and telling that no node takes a pod.

use std::collections::BTreeMap;
use std::sync::Arc;

use trireme_core::Tick;

use super::explain::KeptVerdict;
use super::preempt::Preempted;
use super::{NOTE_LIMIT_BYTES, Scheduler};
use crate::diagnosis::Diagnosis;
use crate::effect::Effect;
use crate::pod::{PodIx, Stage};
use crate::record::ReasonCount;

/// Nodes named for each reason.
const EXAMPLES: usize = 3;
/// Different reasons that are kept of one decision.
const REASONS: usize = 32;

impl Scheduler {
    /// No node takes the pod: others may have to go, and it is told.
    pub(super) fn refused(
        &mut self,
        now: Tick,
        pod: PodIx,
        profile: usize,
        mut diagnosis: Diagnosis,
        examined: usize,
        out: &mut Vec<Effect>,
    ) {
        let may_preempt = self.setup.profiles[profile].preempts && diagnosis.nodes > 0;
        let outcome =
            if may_preempt { self.preempt(now, pod, profile, &diagnosis, out) } else { Preempted::Not(None) };
        let mut nominated = None;
        let mut made = None;
        match outcome {
            Preempted::Node { node, victims } => {
                nominated = Some(Some(node));
                made = Some((node, victims));
            }
            Preempted::Not(why) => {
                // What was promised is no help, unless its victims are still going.
                let keeps = why.as_ref().is_some_and(|why| why.keeps_promise);
                nominated = if keeps { nominated } else { Some(None) };
                diagnosis.after = why.map(|why| why.message).unwrap_or_default();
            }
            Preempted::Asking => return,
        }
        if let Some(node) = nominated {
            self.ledger.nominate(pod, node);
        }
        self.ledger.pod_mut(pod).stage = Stage::Waiting;
        let message = diagnosis.message(&self.ledger.names);
        let refusals = self.refusals(&diagnosis);
        let verdict = match made {
            Some((node, victims)) => KeptVerdict::Nominated(self.ledger.node(node).name, victims),
            None => KeptVerdict::Refused(message.clone()),
        };
        self.keep(now, pod, verdict, (examined, 0), refusals, Vec::new());
        let nominated = nominated.map(|node| node.map(|node| self.ledger.node(node).name));
        self.tell_failed(pod, "Unschedulable", &message, nominated, out);
        self.queue.refuse(now, pod, diagnosis.plugins);
    }

    /// The condition, the promise and the event, as far as they are new.
    pub(super) fn tell_failed(
        &mut self,
        pod: PodIx,
        reason: &'static str,
        message: &str,
        nominated: Option<Option<crate::names::Sym>>,
        out: &mut Vec<Effect>,
    ) {
        let about = self.pod_ref(pod);
        out.push(Effect::Record {
            about: about.clone(),
            related: None,
            warning: true,
            reason: "FailedScheduling",
            action: "Scheduling",
            message: cut(message, NOTE_LIMIT_BYTES),
            scheduler: self.scheduler_name(pod),
        });
        let own = self.ledger.pod(pod);
        let known = own.condition.as_ref().is_some_and(|(was, text)| was == reason && text == message);
        let nominated = nominated.filter(|node| *node != own.told_nominated);
        if known && nominated.is_none() {
            return;
        }
        let own = self.ledger.pod_mut(pod);
        let turns = own.condition.is_none();
        own.condition = Some((reason.to_owned(), message.to_owned()));
        if let Some(node) = nominated {
            own.told_nominated = node;
        }
        let name = |node: Option<crate::names::Sym>| match node {
            Some(node) => self.ledger.names.shared(node),
            None => Arc::from(""),
        };
        let condition = (!known).then(|| (reason, message.to_owned()));
        out.push(Effect::Patch { pod: about, condition, turns, nominated: nominated.map(name) });
    }

    fn refusals(&self, diagnosis: &Diagnosis) -> Vec<ReasonCount> {
        let names = &self.ledger.names;
        let mut counts: BTreeMap<_, ReasonCount> = BTreeMap::new();
        for verdict in &diagnosis.verdicts {
            for reason in &verdict.reasons {
                let count = counts.entry((verdict.first.plugin, *reason)).or_insert_with(|| ReasonCount {
                    plugin: verdict.first.plugin.name().to_owned(),
                    reason: reason.text(names),
                    nodes: 0,
                    examples: Vec::new(),
                    curable: verdict.first.curable,
                    remedy: reason.remedy(names),
                });
                count.nodes += 1;
                if count.examples.len() < EXAMPLES {
                    count.examples.push(self.ledger.node_name(verdict.node).to_owned());
                }
            }
        }
        let mut all: Vec<_> = counts.into_values().collect();
        all.sort_by_key(|count| std::cmp::Reverse(count.nodes));
        all.truncate(REASONS);
        all
    }
}

/// At most `limit` bytes, ending as upstream ends what it cuts.
fn cut(text: &str, limit: usize) -> String {
    const END: &str = " ...";
    if text.len() <= limit {
        return text.to_owned();
    }
    let mut end = limit - END.len();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{END}", &text[..end])
}
