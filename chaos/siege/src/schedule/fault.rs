//! Faults by name, and what exactly happens.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A kind of fault, as named on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// One member is killed (SIGKILL) and started again.
    Kill,
    /// The leader is killed and started again.
    KillLeader,
    /// All members are killed at once and started again.
    KillAll,
    /// One member is stopped (SIGSTOP) and continued.
    Freeze,
    /// The leader is stopped and continued.
    FreezeLeader,
    /// One member is cut off from all others.
    Minority,
    /// The leader is cut off from all others.
    Majority,
    /// Every member sees its neighbours in a ring only (with three members: one link is cut).
    Ring,
    /// One member's frames to the others vanish, or those from them.
    OneWay,
    /// Frames of one member are delayed.
    Slow,
    /// Some frames of one member vanish.
    Lossy,
    /// Some frames of one member come twice.
    Duplicate,
    /// Some frames of one member change places.
    Reorder,
    /// Leadership is handed over.
    Transfer,
    /// One member is removed, added and promoted again.
    Churn,
    /// The actors of the store in one process are killed.
    KillActor,
    /// Every sync of one member's log takes long.
    SlowDisk,
    /// Every sync of one member's log fails; the member is killed and started again afterwards.
    FailingDisk,
    /// The disk below one member's log says that it is full.
    NoRoom,
    /// One member's file system is full for a while. Needs root, and a Linux that can mount tmpfs.
    FullDisk,
    /// One member is killed, and what its log had not synced is torn before it starts again: a power cut of one.
    TornTail,
    /// The wall clock of one member jumps, ahead or back.
    Clock,
}

impl FaultKind {
    /// All of them.
    pub const ALL: [Self; 22] = [
        Self::Kill,
        Self::KillLeader,
        Self::KillAll,
        Self::Freeze,
        Self::FreezeLeader,
        Self::Minority,
        Self::Majority,
        Self::Ring,
        Self::OneWay,
        Self::Slow,
        Self::Lossy,
        Self::Duplicate,
        Self::Reorder,
        Self::Transfer,
        Self::Churn,
        Self::KillActor,
        Self::SlowDisk,
        Self::FailingDisk,
        Self::NoRoom,
        Self::FullDisk,
        Self::TornTail,
        Self::Clock,
    ];

    /// The kinds that any user can run.
    #[must_use]
    pub fn unprivileged() -> Vec<Self> {
        Self::ALL.into_iter().filter(|kind| *kind != Self::FullDisk).collect()
    }

    fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::KillLeader => "kill-leader",
            Self::KillAll => "kill-all",
            Self::Freeze => "freeze",
            Self::FreezeLeader => "freeze-leader",
            Self::Minority => "minority",
            Self::Majority => "majority",
            Self::Ring => "ring",
            Self::OneWay => "one-way",
            Self::Slow => "slow",
            Self::Lossy => "lossy",
            Self::Duplicate => "duplicate",
            Self::Reorder => "reorder",
            Self::Transfer => "transfer",
            Self::Churn => "churn",
            Self::KillActor => "kill-actor",
            Self::SlowDisk => "slow-disk",
            Self::FailingDisk => "failing-disk",
            Self::NoRoom => "no-room",
            Self::FullDisk => "full-disk",
            Self::TornTail => "torn-tail",
            Self::Clock => "clock",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No fault has this name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("there is no fault {name:?}; choose from {}", FaultKind::ALL.map(FaultKind::name).join(", "))]
pub struct UnknownFault {
    /// What was asked for.
    pub name: String,
}

impl FromStr for FaultKind {
    type Err = UnknownFault;

    fn from_str(name: &str) -> Result<Self, UnknownFault> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| UnknownFault { name: name.to_owned() })
    }
}

/// Whom a fault concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The member with this number, from 0.
    Member(usize),
    /// Whoever leads when the fault begins.
    Leader,
    /// Every member.
    All,
}

/// Which links a partition cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cut {
    /// The target from everybody else.
    Off(Target),
    /// Links between members that are not neighbours in a ring; with three members, one link.
    Ring,
    /// What the target sends.
    SilentOf(Target),
    /// What the target would receive.
    DeafOf(Target),
}

/// What happens to some frames of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkHarm {
    /// Held back for so many milliseconds.
    Delayed(u64),
    /// Gone.
    Lost,
    /// Twice.
    Doubled,
    /// Behind the next one.
    Swapped,
}

/// What is wrong with a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskHarm {
    /// A sync takes so many milliseconds longer.
    Slow(u64),
    /// A sync fails.
    Failing,
    /// There is no room.
    NoRoom,
}

/// What exactly happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// SIGKILL, then a new process on the same folder.
    Kill(Target),
    /// SIGSTOP, then SIGCONT.
    Freeze(Target),
    /// A partition.
    Cut(Cut),
    /// Harmed frames.
    Links {
        /// Whose frames.
        target: Target,
        /// How.
        harm: LinkHarm,
        /// How many of a thousand.
        per_mille: u16,
    },
    /// Leadership is offered to this member.
    Transfer(usize),
    /// This member is removed, then added and promoted.
    Churn(usize),
    /// The store's actors of the target are killed at their next input.
    KillActor(Target),
    /// Something is wrong with the disk below the target's log.
    Disk(Target, DiskHarm),
    /// This member's file system has no room.
    FullDisk(usize),
    /// SIGKILL, then the end of the log that no sync covered is torn, then a new process.
    TornTail {
        /// Whose.
        member: usize,
        /// Decides where.
        seed: u64,
    },
    /// The wall clock of the target is off by so many seconds.
    Clock(Target, i64),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(index) => write!(f, "s{}", index + 1),
            Self::Leader => f.write_str("the leader"),
            Self::All => f.write_str("all members"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(target) => write!(f, "kill -9 {target}"),
            Self::Freeze(target) => write!(f, "freeze {target}"),
            Self::Cut(Cut::Off(target)) => write!(f, "cut off {target}"),
            Self::Cut(Cut::Ring) => f.write_str("cut all but a ring"),
            Self::Cut(Cut::SilentOf(target)) => write!(f, "mute {target}"),
            Self::Cut(Cut::DeafOf(target)) => write!(f, "deafen {target}"),
            Self::Links { target, harm, per_mille } => {
                let how = match harm {
                    LinkHarm::Delayed(ms) => &format!("delay by {ms} ms"),
                    LinkHarm::Lost => "lose",
                    LinkHarm::Doubled => "double",
                    LinkHarm::Swapped => "reorder",
                };
                write!(f, "{how} {per_mille} of 1000 frames of {target}")
            }
            Self::Transfer(to) => write!(f, "hand leadership to s{}", to + 1),
            Self::Churn(who) => write!(f, "remove, add and promote s{}", who + 1),
            Self::KillActor(target) => write!(f, "kill the store's actors in {target}"),
            Self::Disk(target, DiskHarm::Slow(ms)) => write!(f, "slow the syncs of {target} by {ms} ms"),
            Self::Disk(target, DiskHarm::Failing) => write!(f, "fail the syncs of {target}"),
            Self::Disk(target, DiskHarm::NoRoom) => write!(f, "leave no room below the log of {target}"),
            Self::FullDisk(who) => write!(f, "fill the disk of s{}", who + 1),
            Self::TornTail { member, .. } => {
                write!(f, "kill -9 s{} and tear the tail of its log", member + 1)
            }
            Self::Clock(target, ahead_s) => write!(f, "set the clock of {target} by {ahead_s} s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_unknown_ones_are_refused_with_the_list() {
        for kind in FaultKind::ALL {
            assert_eq!(kind.to_string().parse::<FaultKind>(), Ok(kind));
        }
        let error = "earthquake".parse::<FaultKind>().unwrap_err().to_string();
        assert!(error.contains("earthquake") && error.contains("kill-leader"), "{error}");
    }
}
