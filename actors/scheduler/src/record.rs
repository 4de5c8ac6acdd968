//! [`DecisionRecord`]: what was decided about a pod and why, for `trireme explain pod`.

use std::fmt;

use serde::Serialize;

/// A reason and how many nodes gave it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReasonCount {
    /// The plugin that refused.
    pub plugin: String,
    /// Its words.
    pub reason: String,
    /// How many nodes.
    pub nodes: usize,
    /// Some of them.
    pub examples: Vec<String>,
    /// Whether evicting pods could change it.
    pub curable: bool,
    /// What would have to change.
    pub remedy: String,
}

/// A candidate and what each plugin gave it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CandidateScore {
    /// The node.
    pub node: String,
    /// Sum of the weighted scores.
    pub total: i64,
    /// Weighted score by plugin; plugins that gave all nodes the same are left out.
    pub parts: Vec<(&'static str, i64)>,
}

/// What an attempt came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Verdict {
    /// A node was chosen.
    #[serde(rename_all = "camelCase")]
    Placed {
        /// The node.
        node: String,
    },
    /// No node takes it.
    #[serde(rename_all = "camelCase")]
    Refused {
        /// The message of its condition.
        message: String,
    },
    /// Room was made: it goes there when the victims are gone.
    #[serde(rename_all = "camelCase")]
    Nominated {
        /// The node.
        node: String,
        /// Pods that are evicted, `namespace/name`.
        victims: Vec<String>,
    },
    /// Its gates are closed.
    #[serde(rename_all = "camelCase")]
    Gated {
        /// Their names.
        gates: Vec<String>,
    },
    /// A decision was not carried out.
    #[serde(rename_all = "camelCase")]
    Failed {
        /// Why.
        message: String,
    },
}

/// The last decision about a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DecisionRecord {
    /// `namespace/name`.
    pub pod: String,
    /// When, in nanoseconds of the deciding shell's clock.
    pub at_nanos: u64,
    /// Which attempt it was.
    pub attempt: u32,
    /// What it came to.
    pub verdict: Verdict,
    /// Nodes in the cluster.
    pub nodes: usize,
    /// Nodes that were looked at.
    pub examined: usize,
    /// Nodes that could take it.
    pub feasible: usize,
    /// Why others could not: only of those that were looked at, and only when none could.
    pub refusals: Vec<ReasonCount>,
    /// The best candidates.
    pub scores: Vec<CandidateScore>,
}

impl fmt::Display for DecisionRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "pod {}, attempt {}", self.pod, self.attempt)?;
        match &self.verdict {
            Verdict::Placed { node } => writeln!(f, "placed on {node}")?,
            Verdict::Refused { message } => writeln!(f, "not placed: {message}")?,
            Verdict::Nominated { node, victims } => {
                writeln!(f, "nominated for {node}; evicted: {}", victims.join(", "))?;
            }
            Verdict::Gated { gates } => writeln!(f, "waits for its gates: {}", gates.join(", "))?,
            Verdict::Failed { message } => writeln!(f, "failed: {message}")?,
        }
        writeln!(f, "nodes: {} in all, {} examined, {} feasible", self.nodes, self.examined, self.feasible)?;
        for one in &self.refusals {
            writeln!(f, "  {:>5} x {}: {}", one.nodes, one.plugin, one.reason)?;
            writeln!(f, "          e.g. {}; to change it: {}", one.examples.join(", "), one.remedy)?;
        }
        for one in &self.scores {
            let parts: Vec<String> =
                one.parts.iter().map(|(name, score)| format!("{name} {score}")).collect();
            writeln!(f, "  {:>5}  {}  ({})", one.total, one.node, parts.join(", "))?;
        }
        Ok(())
    }
}
