//! Faults of one machine: its disk and its clock.

use std::time::Duration;

use trireme_core::Rng;
use trireme_store::calls::{SetClock, SetDiskFaults};

use super::{CALL_DEADLINE, Nemesis};
use crate::schedule::{DiskHarm, Fault, Target};

impl Nemesis {
    pub(super) async fn harm_disk(&self, fault: Fault, target: Target, harm: DiskHarm, lasts: Duration) {
        let dead_man_ms = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
        let mut wanted = SetDiskFaults { dead_man_ms, ..SetDiskFaults::default() };
        match harm {
            DiskHarm::Slow(ms) => wanted.sync_delay_ms = ms,
            DiskHarm::Failing => wanted.fail_syncs = true,
            DiskHarm::NoRoom => wanted.room_bytes = Some(0),
        }
        let harmed = self.say(fault, target).await;
        for index in &harmed {
            let answer = self.control[*index].call("store", &wanted, CALL_DEADLINE).await;
            self.told(&fault.to_string(), answer.err().map(|error| error.to_string()));
        }
        tokio::time::sleep(lasts).await;
        if harm == DiskHarm::Failing {
            // A member whose sync failed must not trust its disk any more: it stops until it is started again.
            for index in harmed {
                self.fleet.members[index].kill().await;
            }
            self.revive().await;
        }
    }

    pub(super) async fn fill(&self, fault: Fault, who: usize, lasts: Duration) {
        self.recorder.note(fault.to_string());
        let member = &self.fleet.members[who];
        match member.fill_disk() {
            Ok(true) => {}
            Ok(false) => self.recorder.note(format!("{} has no file system of its own", member.name)),
            Err(error) => self.recorder.note(error.to_string()),
        }
        tokio::time::sleep(lasts).await;
        member.empty_disk();
    }

    pub(super) async fn tear(&self, fault: Fault, who: usize, seed: u64, lasts: Duration) {
        self.recorder.note(fault.to_string());
        let member = &self.fleet.members[who];
        member.kill().await;
        match member.tear_log(&mut Rng::new(seed)) {
            Ok(torn) => self.recorder.note(format!("{}: {torn}", member.name)),
            Err(error) => self.recorder.note(format!("{}: its log was not torn: {error}", member.name)),
        }
        tokio::time::sleep(lasts).await;
        self.revive().await;
    }

    pub(super) async fn set_clock(&self, fault: Fault, target: Target, ahead_s: i64, lasts: Duration) {
        let dead_man_ms = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
        for index in self.say(fault, target).await {
            let answer =
                self.control[index].call("store", &SetClock { ahead_s, dead_man_ms }, CALL_DEADLINE).await;
            self.told(&fault.to_string(), answer.err().map(|error| error.to_string()));
        }
        tokio::time::sleep(lasts).await;
    }
}
