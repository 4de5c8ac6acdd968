//! kill -9 at random moments, again and again: nothing acknowledged is lost, and every reopening works.
//! `TRIREME_KILLS` sets the number of kills for each log (24 by default).

#![allow(clippy::unwrap_used, clippy::print_stdout)] // A test binary without harness.

mod support;

use std::sync::Arc;
use std::time::Duration;

use support::{Dice, Kind, Said, Writer, asked_for, count_from_env, run_if_writer};
use trireme_raft::disk::RealDisk;

fn main() {
    if run_if_writer() {
        return;
    }
    if !asked_for("kill_loop") {
        return;
    }
    let kills = count_from_env("TRIREME_KILLS", 24);
    for kind in Kind::ALL {
        kill_loop(kind, kills);
    }
}

fn kill_loop(kind: Kind, kills: u64) {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("log");
    let mut said = Said::default();
    let mut dice = Dice(kills);
    for round in 1..=kills {
        let mut writer = Writer::start(kind, &dir, round, round == 1, false, said);
        writer.wait_ready();
        std::thread::sleep(Duration::from_millis(5 + dice.below(250)));
        said = writer.kill();
        let log = kind.open(Arc::new(RealDisk), &dir, false).unwrap_or_else(|e| panic!("kill {round}: {e}"));
        said.check(log.as_ref()).unwrap_or_else(|lost| panic!("{} kill {round}: {lost}", kind.name()));
        said.adopt(log.as_ref());
    }
    let last = said.entries.keys().last().unwrap();
    println!("kill loop, {}: {kills} kills, up to entry {last}, nothing acknowledged lost", kind.name());
}
