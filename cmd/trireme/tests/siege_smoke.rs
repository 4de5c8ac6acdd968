//! A short siege of three real servers: every law gets records and holds, and a harmed history is found out.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;
use trireme_laws::watch::WatchRecord;
use trireme_laws::{Answer, History, Outcome};

const SEED: &str = "11";
/// Long enough for each of the faults below to happen at least once.
const SECONDS: &str = "25";
const FAULTS: &str = "kill-leader,freeze,majority,one-way,transfer,kill-actor";

#[test]
fn a_short_siege_holds_and_its_harmed_history_does_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let siege = folder.path().join("siege");
    let ran = trireme(
        folder.path(),
        &["chaos", "run", "--seed", SEED, "--seconds", SECONDS, "--faults", FAULTS, "--folder"],
        &siege,
    );
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}\n{}", logs(&siege));

    let file = siege.join("history.jsonl");
    let checked = trireme(folder.path(), &["chaos", "check"], &file);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    let text = std::fs::read_to_string(&file).expect("the history was kept");
    let history = History::from_json_lines(&text).expect("our own lines");
    for harm in HARMS {
        caught(&folder, &history, harm);
    }
}

/// One change of a good history that a law forbids.
struct Harm {
    law: &'static str,
    change: fn(&mut History),
}

const HARMS: &[Harm] = &[
    Harm { law: "register linearizability", change: stale_read },
    Harm { law: "watch: reliable", change: drop_event },
    Harm { law: "applied at most once", change: apply_twice },
    Harm { law: "acknowledged is durable", change: lose_acknowledged },
    Harm { law: "term fencing", change: accept_old_term },
    Harm { law: "equal state hashes", change: part_states },
    Harm { law: "set", change: lose_element },
    Harm { law: "list append", change: reverse_list },
];

fn caught(folder: &TempDir, good: &History, harm: &Harm) {
    let mut history = good.clone();
    (harm.change)(&mut history);
    assert_ne!(&history, good, "{}: nothing was changed", harm.law);
    let file = folder.path().join("harmed.jsonl");
    std::fs::write(&file, history.to_json_lines()).expect("a file");
    let checked = trireme(folder.path(), &["chaos", "check"], &file);
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(!checked.status.success(), "{} was not found out:\n{said}", harm.law);
    let row = said.lines().find(|line| line.trim_start().starts_with(harm.law)).unwrap_or_default();
    assert!(row.contains("VIOLATED"), "{}:\n{said}", harm.law);
}

/// The last read of a register that was written twice shows the value before.
fn stale_read(history: &mut History) {
    let mut operations = history.operations.clone();
    operations.sort_by_key(|operation| operation.returned);
    let reads: Vec<_> = operations
        .iter()
        .filter_map(|operation| match &operation.outcome {
            Outcome::Ok { answer: Answer::Value(Some(value)), revision } => {
                Some((operation, *value, *revision))
            }
            _ => None,
        })
        .collect();
    let (old, new) = reads
        .iter()
        .flat_map(|old| reads.iter().map(move |new| (old, new)))
        .find(|(old, new)| {
            old.0.key == new.0.key && old.1 != new.1 && old.2 < new.2 && old.0.returned < Some(new.0.call)
        })
        .expect("some register changed between two reads");
    // A third read after both, of what the first one saw.
    let mut stale = old.0.clone();
    stale.process = u64::MAX;
    stale.call = new.0.returned.expect("answered") + 1;
    stale.returned = Some(stale.call + 1);
    history.operations.push(stale);
}

fn drop_event(history: &mut History) {
    let delivered = history.watches.iter_mut().find_map(|record| match record {
        WatchRecord::Delivered { events, .. } if events.len() == 1 => Some(events),
        _ => None,
    });
    delivered.expect("a delivery").clear();
}

fn apply_twice(history: &mut History) {
    let mut again = history.log.first().expect("a log").clone();
    let last = history.log.iter().map(|write| write.revision).max().expect("a log");
    again.revision = last + 1;
    again.transaction = last + 1;
    history.log.push(again);
}

fn lose_acknowledged(history: &mut History) {
    let revision = history
        .operations
        .iter()
        .filter(|operation| operation.key.starts_with("r/"))
        .filter(|operation| operation.action != trireme_laws::Action::Read)
        .find_map(|operation| operation.revision())
        .expect("an acknowledged write");
    history.log.retain(|write| write.revision != revision);
}

fn accept_old_term(history: &mut History) {
    let newest =
        history.fenced.iter().filter(|write| write.acknowledged == Some(true)).max_by_key(|write| write.term);
    let mut old = newest.expect("an acknowledged fenced write").clone();
    old.term -= 1;
    old.call = old.returned.expect("answered") + 1;
    old.returned = Some(old.call + 1);
    history.fenced.push(old);
}

fn part_states(history: &mut History) {
    let mut other = history.hashes.last().expect("a sample").clone();
    other.member += 1;
    other.hash ^= 1;
    history.hashes.push(other);
}

fn lose_element(history: &mut History) {
    let read = history.operations.iter_mut().rev().find_map(|operation| match &mut operation.outcome {
        Outcome::Ok { answer: Answer::List(elements), .. }
            if operation.key.starts_with("s/") && elements.len() > 2 =>
        {
            Some(elements)
        }
        _ => None,
    });
    // The oldest element was acknowledged long before this read.
    let elements = read.expect("a read of a set");
    let oldest = *elements.iter().min().expect("not empty");
    elements.retain(|element| *element != oldest);
}

fn reverse_list(history: &mut History) {
    let read = history.operations.iter_mut().rev().find_map(|operation| match &mut operation.outcome {
        Outcome::Ok { answer: Answer::List(elements), .. }
            if operation.key.starts_with("l/") && elements.len() > 2 =>
        {
            Some(elements)
        }
        _ => None,
    });
    read.expect("a read of a list").reverse();
}

fn trireme(folder: &Path, arguments: &[&str], file: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trireme"))
        .args(arguments)
        .arg(file)
        .env("TRIREME_DATA_DIR", folder.join("unused"))
        .env_remove("TRIREME_TOKEN")
        .env_remove("TRIREME_LOG")
        .stdin(Stdio::null())
        .output()
        .expect("trireme runs")
}

/// The last words of every server, for a failure's message.
fn logs(siege: &Path) -> String {
    let mut all = String::new();
    for name in ["s1", "s2", "s3"] {
        let text = std::fs::read_to_string(siege.join(format!("{name}.log"))).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(15).collect();
        all += &format!("--- {name}\n{}\n", lines.into_iter().rev().collect::<Vec<_>>().join("\n"));
    }
    all
}
