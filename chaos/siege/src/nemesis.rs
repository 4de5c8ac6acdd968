//! Carries out a schedule, and heals.

mod machines;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use trireme_faults::{BusAction, BusRule, Direction, FaultPoint, FaultRule, MailboxAction, MailboxRule};
use trireme_kernel::Call;
use trireme_process::{ArmFault, HealFaults, random_u64};
use trireme_raft::store::Role;
use trireme_store::calls::{
    ChangeMember, GetStatus, MemberChange, SetClock, SetDiskFaults, StoreStatus, TransferLeadership,
};

use crate::fleet::Fleet;
use crate::link::Link;
use crate::recorder::Recorder;
use crate::schedule::{Cut, Fault, LinkHarm, Schedule, Step, Target};

/// How long a call of the nemesis may take.
const CALL_DEADLINE: Duration = Duration::from_millis(2_000);
/// How long a look at one member may take.
const LOOK_DEADLINE: Duration = Duration::from_millis(600);
/// How long a member that was removed is brought back.
const CHURN_LIMIT: Duration = Duration::from_secs(20);
/// How long a change of membership or leadership may take, in milliseconds.
const CHANGE_MS: u64 = 3_000;
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(200);
/// Inputs that kill an actor, per fault.
const ACTOR_KILLS: u64 = 3;

/// See the module.
pub(crate) struct Nemesis {
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) control: Vec<Link>,
    pub(crate) recorder: Recorder,
}

impl Nemesis {
    pub(crate) fn new(fleet: Arc<Fleet>, recorder: Recorder) -> Arc<Self> {
        let control = fleet.members.iter().map(|member| member.link()).collect();
        Arc::new(Self { fleet, control, recorder })
    }

    /// Lets every fault happen in its time; returns when the last one has ended.
    pub(crate) async fn run(self: Arc<Self>, schedule: Schedule) {
        let begun = tokio::time::Instant::now();
        let mut steps = JoinSet::new();
        for step in schedule.steps {
            tokio::time::sleep_until(begun + Duration::from_millis(step.at_ms)).await;
            let nemesis = Arc::clone(&self);
            steps.spawn(async move { nemesis.carry_out(step).await });
        }
        while steps.join_next().await.is_some() {}
    }

    /// Ends every fault that could still be there, and brings dead members back.
    pub(crate) async fn heal(&self) -> Result<(), String> {
        for member in &self.fleet.members {
            member.empty_disk();
        }
        let started = self.fleet.revive().await.map_err(|error| error.to_string())?;
        if started > 0 {
            self.recorder.note(format!("healing: {started} members were started again"));
        }
        for link in &self.control {
            // Faults of a process that does not answer end by their own dead-man limit.
            let _answer = link.call("faults", &HealFaults {}, CALL_DEADLINE).await;
            let _answer = link.call("store", &SetDiskFaults::default(), CALL_DEADLINE).await;
            let _answer = link.call("store", &SetClock::default(), CALL_DEADLINE).await;
        }
        Ok(())
    }

    /// What the members say of themselves.
    pub(crate) async fn look(&self) -> Vec<Option<StoreStatus>> {
        let mut looks = JoinSet::new();
        for (index, link) in self.control.iter().cloned().enumerate() {
            looks.spawn(async move { (index, link.call("store", &GetStatus {}, LOOK_DEADLINE).await.ok()) });
        }
        let mut all: Vec<Option<StoreStatus>> = vec![None; self.control.len()];
        while let Some(look) = looks.join_next().await {
            if let Ok((index, status)) = look {
                all[index] = status;
            }
        }
        all
    }

    /// The member that leads in the highest term, if any says so.
    pub(crate) async fn leader(&self) -> Option<usize> {
        leader_of(&self.look().await)
    }

    /// Brings every member into the membership as a voter, as far as the cluster lets it.
    pub(crate) async fn readmit(&self) {
        let all = self.look().await;
        for index in 0..self.control.len() {
            if !votes(&all, self.name(index)) {
                self.bring_in(index).await;
            }
        }
    }

    async fn carry_out(&self, step: Step) {
        let lasts = Duration::from_millis(step.lasts_ms);
        let Step { fault, .. } = step;
        match fault {
            Fault::Kill(target) => {
                for index in self.say(fault, target).await {
                    self.fleet.members[index].kill().await;
                }
                tokio::time::sleep(lasts).await;
                self.revive().await;
            }
            Fault::Freeze(target) => {
                let frozen = self.say(fault, target).await;
                for index in &frozen {
                    self.fleet.members[*index].freeze().await;
                }
                tokio::time::sleep(lasts).await;
                for index in frozen {
                    self.fleet.members[index].thaw().await;
                }
            }
            Fault::Cut(cut) => self.cut(fault, cut, lasts).await,
            Fault::Links { target, harm, per_mille } => {
                for index in self.say(fault, target).await {
                    self.harm_links(index, harm, per_mille, lasts).await;
                }
                tokio::time::sleep(lasts).await;
            }
            Fault::Transfer(to) => self.transfer(fault, to).await,
            Fault::Churn(who) => self.churn(fault, who, lasts).await,
            Fault::KillActor(target) => {
                for index in self.say(fault, target).await {
                    let path_glob = format!("{}**", self.control[index].server.path("store"));
                    let point = FaultPoint::Mailbox(MailboxRule { path_glob, action: MailboxAction::Kill });
                    self.arm(index, FaultRule { max_hits: Some(ACTOR_KILLS), ..rule(point, lasts) }).await;
                }
                tokio::time::sleep(lasts).await;
            }
            Fault::Disk(target, harm) => self.harm_disk(fault, target, harm, lasts).await,
            Fault::FullDisk(who) => self.fill(fault, who, lasts).await,
            Fault::TornTail { member, seed } => self.tear(fault, member, seed, lasts).await,
            Fault::Clock(target, ahead_s) => self.set_clock(fault, target, ahead_s, lasts).await,
        }
    }

    /// Notes a fault and gives the members that it hits.
    async fn say(&self, fault: Fault, target: Target) -> Vec<usize> {
        let members = match target {
            Target::Member(index) => vec![index],
            Target::All => (0..self.control.len()).collect(),
            // Without a leader to be found the first member stands in for it.
            Target::Leader => vec![self.leader().await.unwrap_or(0)],
        };
        let names: Vec<&str> = members.iter().map(|index| self.name(*index)).collect();
        self.recorder.note(format!("{fault} ({})", names.join(", ")));
        members
    }

    async fn revive(&self) {
        for member in &self.fleet.members {
            if let Err(error) = member.start(None).await {
                self.recorder.note(format!("{error}"));
            }
        }
    }

    async fn cut(&self, fault: Fault, cut: Cut, lasts: Duration) {
        let count = self.control.len();
        let others = |of: usize| (0..count).filter(move |index| *index != of);
        let mut rules: Vec<(usize, usize, Direction, BusAction)> = Vec::new();
        match cut {
            Cut::Off(target) => {
                for who in self.say(fault, target).await {
                    for other in others(who) {
                        rules.push((who, other, Direction::Both, BusAction::Partition));
                        rules.push((other, who, Direction::Both, BusAction::Partition));
                    }
                }
            }
            Cut::SilentOf(target) => {
                for who in self.say(fault, target).await {
                    rules.extend(others(who).map(|other| (who, other, Direction::Out, BusAction::Drop)));
                }
            }
            Cut::DeafOf(target) => {
                for who in self.say(fault, target).await {
                    rules.extend(others(who).map(|other| (who, other, Direction::In, BusAction::Drop)));
                }
            }
            Cut::Ring => {
                self.recorder.note(fault.to_string());
                for (one, other) in not_neighbours(count) {
                    rules.push((one, other, Direction::Both, BusAction::Partition));
                    rules.push((other, one, Direction::Both, BusAction::Partition));
                }
            }
        }
        for (on, peer, direction, action) in rules {
            let peer_glob = self.name(peer).to_owned();
            let point = FaultPoint::Bus(BusRule { peer_glob, class: None, direction, action });
            self.arm(on, rule(point, lasts)).await;
        }
        tokio::time::sleep(lasts).await;
    }

    async fn harm_links(&self, index: usize, harm: LinkHarm, per_mille: u16, lasts: Duration) {
        let action = match harm {
            LinkHarm::Delayed(ms) => BusAction::Delay { ms },
            LinkHarm::Lost => BusAction::Drop,
            LinkHarm::Doubled => BusAction::Duplicate,
            LinkHarm::Swapped => BusAction::Reorder,
        };
        for other in (0..self.control.len()).filter(|other| *other != index) {
            let peer_glob = self.name(other).to_owned();
            let point =
                FaultPoint::Bus(BusRule { peer_glob, class: None, direction: Direction::Both, action });
            self.arm(index, FaultRule { probability_per_mille: per_mille, ..rule(point, lasts) }).await;
        }
    }

    async fn transfer(&self, fault: Fault, to: usize) {
        self.recorder.note(fault.to_string());
        let machine = self.name(to).to_owned();
        let at = self.leader().await.unwrap_or(to);
        let call = TransferLeadership { machine, timeout_ms: CHANGE_MS };
        self.told(&fault.to_string(), self.ask(at, &call).await.err());
    }

    async fn churn(&self, fault: Fault, who: usize, lasts: Duration) {
        self.recorder.note(fault.to_string());
        let at = (0..self.control.len()).find(|index| *index != who).expect("more than one member");
        let call = ChangeMember {
            change: MemberChange::Remove,
            machine: self.name(who).into(),
            timeout_ms: CHANGE_MS,
        };
        let member = &self.fleet.members[who];
        member.set_removed(true).await;
        self.told(&fault.to_string(), self.ask(at, &call).await.err());
        tokio::time::sleep(lasts).await;
        self.bring_in(who).await;
        // It may have been killed meanwhile, and have refused to start.
        member.set_removed(false).await;
        self.revive().await;
    }

    /// Adds and promotes a member until it votes, for a while.
    async fn bring_in(&self, who: usize) {
        let machine = self.name(who).to_owned();
        let since = tokio::time::Instant::now();
        let mut last = None;
        while since.elapsed() < CHURN_LIMIT {
            if votes(&self.look().await, &machine) {
                return;
            }
            for change in [MemberChange::Add, MemberChange::Promote] {
                let call = ChangeMember { change, machine: machine.clone(), timeout_ms: CHANGE_MS };
                let at = self.leader().await.filter(|leader| *leader != who);
                let at = at.unwrap_or(usize::from(who == 0));
                if let Err(error) = self.ask(at, &call).await {
                    last = Some(error);
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.told(&format!("{machine} is not a voter again"), last);
    }

    async fn arm(&self, on: usize, rule: FaultRule) {
        let answer = self.control[on].call("faults", &ArmFault { rule }, CALL_DEADLINE).await;
        if let Err(error) = answer {
            self.recorder.note(format!("a fault was not armed on {}: {error}", self.name(on)));
        }
    }

    /// A call whose refusal is part of the game.
    async fn ask<C, E>(&self, at: usize, call: &C) -> Result<(), String>
    where
        C: Call<Answer = Result<(), E>>,
        E: std::fmt::Display,
    {
        let deadline = Duration::from_millis(CHANGE_MS) + CALL_DEADLINE;
        match self.control[at].call("store", call, deadline).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn told(&self, what: &str, error: Option<String>) {
        if let Some(error) = error {
            self.recorder.note(format!("{what}: {error}"));
        }
    }

    fn name(&self, index: usize) -> &str {
        &self.control[index].server.name
    }
}

/// A rule that ends by itself when its fault shall end.
fn rule(point: FaultPoint, lasts: Duration) -> FaultRule {
    let seed = random_u64();
    FaultRule { seed, ..FaultRule::new(&format!("siege-{seed:016x}"), point, lasts) }
}

/// Whether the leader counts this server among the voters. What a server says of itself may be long out of date.
pub(crate) fn votes(all: &[Option<StoreStatus>], machine: &str) -> bool {
    let leader = leader_of(all).and_then(|leader| all[leader].as_ref());
    leader.is_some_and(|leader| {
        let mut members = leader.raft.members.values();
        members.any(|member| member.peer.address == machine && member.role == Role::Voter)
    })
}

/// The member that leads in the highest term.
pub(crate) fn leader_of(all: &[Option<StoreStatus>]) -> Option<usize> {
    let leads = |status: &StoreStatus| status.raft.leader == Some(status.raft.member);
    let statuses = all.iter().enumerate().filter_map(|(index, status)| Some((index, status.as_ref()?)));
    statuses
        .filter(|(_, status)| leads(status))
        .max_by_key(|(_, status)| status.raft.term)
        .map(|(index, _)| index)
}

/// Pairs that are not neighbours in a ring; of three members, one pair.
fn not_neighbours(count: usize) -> Vec<(usize, usize)> {
    if count == 3 {
        return vec![(0, 1)];
    }
    let apart = |one: usize, other: usize| (other - one).min(count - (other - one)) > 1;
    (0..count)
        .flat_map(|one| (one + 1..count).map(move |other| (one, other)))
        .filter(|(a, b)| apart(*a, *b))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_leaves_every_member_two_neighbours() {
        assert_eq!(not_neighbours(5), [(0, 2), (0, 3), (1, 3), (1, 4), (2, 4)]);
        assert_eq!(not_neighbours(3).len(), 1);
    }

    #[test]
    fn rules_are_accepted_by_the_desk() {
        let bus = |action| {
            FaultPoint::Bus(BusRule {
                peer_glob: "s1".into(),
                class: None,
                direction: Direction::Both,
                action,
            })
        };
        for action in
            [BusAction::Partition, BusAction::Drop, BusAction::Duplicate, BusAction::Delay { ms: 5 }]
        {
            rule(bus(action), Duration::from_secs(3)).validate().unwrap();
        }
    }
}
