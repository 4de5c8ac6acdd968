//! [`Diagnosis`]: why no node took a pod, in upstream's words.

use std::collections::BTreeMap;

use crate::names::Names;
use crate::node::NodeIx;
use crate::plugins::{Plugin, PluginSet, Reason, Rejection};

/// A node's refusal.
#[derive(Clone, Debug)]
pub(crate) struct NodeVerdict {
    pub(crate) node: NodeIx,
    pub(crate) first: Rejection,
    pub(crate) reasons: Vec<Reason>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Diagnosis {
    pub(crate) nodes: usize,
    pub(crate) verdicts: Vec<NodeVerdict>,
    /// Refused before any node was looked at.
    pub(crate) before: Option<String>,
    /// Plugins that left nodes out beforehand.
    pub(crate) narrowed: PluginSet,
    pub(crate) plugins: PluginSet,
    /// What preemption came to.
    pub(crate) after: String,
}

impl Diagnosis {
    /// How many nodes gave each reason.
    pub(crate) fn histogram(&self) -> BTreeMap<Reason, usize> {
        let mut counts = BTreeMap::new();
        for reason in self.verdicts.iter().flat_map(|verdict| &verdict.reasons) {
            *counts.entry(*reason).or_default() += 1;
        }
        counts
    }

    /// The message of the condition and of the event.
    pub(crate) fn message(&self, names: &Names) -> String {
        if self.nodes == 0 {
            return "no nodes available to schedule pods".to_owned();
        }
        let mut message = format!("0/{} nodes are available:", self.nodes);
        match &self.before {
            Some(before) => message += &format!(" {before}."),
            None => {
                let mut texts: Vec<String> = self
                    .histogram()
                    .iter()
                    .map(|(reason, count)| format!("{count} {}", reason.text(names)))
                    .collect();
                let absent = self.nodes - self.verdicts.len().min(self.nodes);
                if absent > 0 {
                    let plugins: Vec<&str> = self.narrowed.iter().map(Plugin::name).collect();
                    texts.push(format!("{absent} node(s) didn't satisfy plugin(s) [{}]", plugins.join(" ")));
                }
                texts.sort_unstable();
                message += &format!(" {}.", texts.join(", "));
            }
        }
        if !self.after.is_empty() {
            message += &format!(" {}", self.after);
        }
        message
    }
}
