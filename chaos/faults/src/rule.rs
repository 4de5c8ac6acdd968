//! Fault rules as data: what an operator sends, and what a fault point is told to do.
//!
//! The types are serde data for an admin call; they decode from self-describing formats (JSON) and from bincode.
//! A rule that could not work as written is refused by [`FaultRule::validate`], never bent into shape.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Longest life of a rule, in milliseconds (ten minutes).
pub const MAX_DEAD_MAN_MS: u64 = 600_000;
/// Longest stall or delay one hit may cause, in milliseconds.
pub const MAX_EFFECT_MS: u64 = 60_000;
/// Longest rule id, in bytes.
pub const MAX_ID_BYTES: usize = 64;
/// Longest glob or class name, in bytes.
pub const MAX_GLOB_BYTES: usize = 512;
/// Probability of a rule that acts on every match.
const ALWAYS_PER_MILLE: u16 = 1_000;

/// Name of an armed rule: 1 to [`MAX_ID_BYTES`] bytes of `[A-Za-z0-9._:-]`, chosen by whoever arms it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FaultId(pub String);

impl fmt::Display for FaultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for FaultId {
    fn from(id: &str) -> Self {
        Self(id.to_owned())
    }
}

/// One fault to arm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// Name under which the rule is listed and healed.
    pub id: FaultId,
    /// Where it acts, and what happens there.
    pub point: FaultPoint,
    /// How many of 1000 matches are hit: 1 to 1000.
    pub probability_per_mille: u16,
    /// Seed of the decisions; the same seed and order of questions gives the same hits.
    pub seed: u64,
    /// Stop acting after this many hits (at least 1); `None` means until healed.
    pub max_hits: Option<u64>,
    /// The rule heals itself this long after it was armed: 1 to [`MAX_DEAD_MAN_MS`] milliseconds.
    pub dead_man_ms: u64,
}

/// The place a rule acts at. Only points that a shell really asks about are named here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum FaultPoint {
    /// The mailboxes of actors.
    Mailbox(MailboxRule),
    /// The frames between this machine and its peers.
    Bus(BusRule),
}

/// A rule over the mailboxes of the actors whose path matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailboxRule {
    /// Actor path; `*` matches inside a segment, `**` across segments, `?` one character.
    pub path_glob: String,
    /// What happens to the input about to be handled, or to its actor.
    pub action: MailboxAction,
}

/// What a mailbox rule does on a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum MailboxAction {
    /// End the incarnation at once, without its stopping hook.
    Kill,
    /// Panic inside the handler.
    Panic,
    /// Hold the actor for this long before it handles the input.
    Stall {
        /// Milliseconds, 1 to [`MAX_EFFECT_MS`].
        ms: u64,
    },
    /// Drop the input unhandled.
    Drop,
}

/// A rule over the frames exchanged with the peers whose name matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BusRule {
    /// Peer name, with the wildcards of [`MailboxRule::path_glob`].
    pub peer_glob: String,
    /// Name of the priority class; `None` is every class.
    pub class: Option<String>,
    /// Seen from this machine.
    pub direction: Direction,
    /// What happens to the frame.
    pub action: BusAction,
}

/// Which way a frame travels, seen from this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the peer to this machine.
    In,
    /// From this machine to the peer.
    Out,
    /// Either way.
    Both,
}

impl Direction {
    /// Whether a rule for `self` covers traffic going `way`. `Both` as traffic is covered by any rule.
    #[must_use]
    pub fn covers(self, way: Self) -> bool {
        self == way || self == Self::Both || way == Self::Both
    }
}

/// What a bus rule does on a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum BusAction {
    /// The frame vanishes.
    Drop,
    /// The frame is held back for this long.
    Delay {
        /// Milliseconds, 1 to [`MAX_EFFECT_MS`].
        ms: u64,
    },
    /// The frame is delivered twice.
    Duplicate,
    /// The frame is delivered after the one behind it.
    Reorder,
    /// The link is cut: nothing passes and no connection is made until the rule is healed.
    Partition,
}

/// Order to the kernel about the input it is about to hand over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailboxFault {
    /// End the incarnation at once.
    Kill,
    /// Panic inside the handler.
    Panic,
    /// Hold the actor this long, then handle the input.
    Stall(Duration),
    /// Drop the input unhandled.
    Drop,
}

/// Order to the bus about one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusFault {
    /// Let the frame vanish.
    Drop,
    /// Hold the frame back this long.
    Delay(Duration),
    /// Deliver the frame twice.
    Duplicate,
    /// Deliver the frame after the one behind it.
    Reorder,
    /// Treat the link as cut.
    Partition,
}

impl From<MailboxAction> for MailboxFault {
    fn from(action: MailboxAction) -> Self {
        match action {
            MailboxAction::Kill => Self::Kill,
            MailboxAction::Panic => Self::Panic,
            MailboxAction::Stall { ms } => Self::Stall(Duration::from_millis(ms)),
            MailboxAction::Drop => Self::Drop,
        }
    }
}

impl From<BusAction> for BusFault {
    fn from(action: BusAction) -> Self {
        match action {
            BusAction::Drop => Self::Drop,
            BusAction::Delay { ms } => Self::Delay(Duration::from_millis(ms)),
            BusAction::Duplicate => Self::Duplicate,
            BusAction::Reorder => Self::Reorder,
            BusAction::Partition => Self::Partition,
        }
    }
}

/// Why a rule cannot be armed as written. Not retryable: correct the named field and send it again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum RuleError {
    /// The id is empty, too long or has other characters.
    #[error("fault id {0:?} must be 1 to {MAX_ID_BYTES} characters of A-Z a-z 0-9 . _ : -")]
    Id(String),
    /// The probability is outside 1 to 1000.
    #[error("probability_per_mille is {0}; it must be 1 to 1000 (1000 hits every match)")]
    Probability(u16),
    /// The rule could never act.
    #[error("max_hits is 0: the rule could never act; leave it out for no limit")]
    MaxHits,
    /// The dead-man limit is outside its bounds.
    #[error("dead_man_ms is {0}; it must be 1 to {MAX_DEAD_MAN_MS}, after which the rule heals itself")]
    DeadMan(u64),
    /// A stall or delay is outside its bounds.
    #[error("a stall or delay of {0} ms is out of bounds; it must be 1 to {MAX_EFFECT_MS} ms")]
    EffectTime(u64),
    /// A glob or class name is empty or too long.
    #[error("{field} must be 1 to {MAX_GLOB_BYTES} bytes; it has {bytes}")]
    Pattern {
        /// The field of the rule.
        field: String,
        /// Its length in bytes.
        bytes: usize,
    },
    /// An actor path is absolute, so a glob that starts otherwise can never match.
    #[error(
        "path_glob {0:?} can never match: actor paths start with '/', so it must start with '/', '*' or '?'"
    )]
    RelativePath(String),
    /// A cut link has no odds and no count.
    #[error(
        "a partition cuts the link until it is healed: probability_per_mille must be 1000, max_hits left out"
    )]
    PartialPartition,
}

impl FaultRule {
    /// A rule that hits every match without a limit on hits; adjust the public fields for more.
    #[must_use]
    pub fn new(id: &str, point: FaultPoint, dead_man: Duration) -> Self {
        let dead_man_ms = u64::try_from(dead_man.as_millis()).unwrap_or(u64::MAX);
        Self {
            id: FaultId::from(id),
            point,
            probability_per_mille: ALWAYS_PER_MILLE,
            seed: 0,
            max_hits: None,
            dead_man_ms,
        }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// The first field that cannot work as written.
    pub fn validate(&self) -> Result<(), RuleError> {
        let id = &self.id.0;
        let id_char = |c: char| c.is_ascii_alphanumeric() || "._:-".contains(c);
        if id.is_empty() || id.len() > MAX_ID_BYTES || !id.chars().all(id_char) {
            return Err(RuleError::Id(id.chars().take(MAX_ID_BYTES).collect()));
        }
        if !(1..=ALWAYS_PER_MILLE).contains(&self.probability_per_mille) {
            return Err(RuleError::Probability(self.probability_per_mille));
        }
        if self.max_hits == Some(0) {
            return Err(RuleError::MaxHits);
        }
        if !(1..=MAX_DEAD_MAN_MS).contains(&self.dead_man_ms) {
            return Err(RuleError::DeadMan(self.dead_man_ms));
        }
        match &self.point {
            FaultPoint::Mailbox(rule) => rule.validate(),
            FaultPoint::Bus(rule) => {
                rule.validate()?;
                let partial = self.probability_per_mille != ALWAYS_PER_MILLE || self.max_hits.is_some();
                if rule.action == BusAction::Partition && partial {
                    return Err(RuleError::PartialPartition);
                }
                Ok(())
            }
        }
    }
}

impl MailboxRule {
    fn validate(&self) -> Result<(), RuleError> {
        pattern("path_glob", &self.path_glob)?;
        if !self.path_glob.starts_with(['/', '*', '?']) {
            return Err(RuleError::RelativePath(self.path_glob.clone()));
        }
        match self.action {
            MailboxAction::Stall { ms } => effect_time(ms),
            MailboxAction::Kill | MailboxAction::Panic | MailboxAction::Drop => Ok(()),
        }
    }
}

impl BusRule {
    fn validate(&self) -> Result<(), RuleError> {
        pattern("peer_glob", &self.peer_glob)?;
        if let Some(class) = &self.class {
            pattern("class", class)?;
        }
        match self.action {
            BusAction::Delay { ms } => effect_time(ms),
            BusAction::Drop | BusAction::Duplicate | BusAction::Reorder | BusAction::Partition => Ok(()),
        }
    }
}

fn pattern(field: &str, value: &str) -> Result<(), RuleError> {
    if value.is_empty() || value.len() > MAX_GLOB_BYTES {
        return Err(RuleError::Pattern { field: field.to_owned(), bytes: value.len() });
    }
    Ok(())
}

fn effect_time(ms: u64) -> Result<(), RuleError> {
    if (1..=MAX_EFFECT_MS).contains(&ms) { Ok(()) } else { Err(RuleError::EffectTime(ms)) }
}
