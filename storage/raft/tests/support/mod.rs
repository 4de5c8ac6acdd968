//! What the kill loop and the power-cut gate share: a writer process that says what was acknowledged, and the check
//! of what is found after it died.
//!
//! The writer appends batches with values of 100 B to 1.5 MB, votes, truncates and purges, and prints one line
//! behind each durable step (and before each truncation, whose outcome is open until it returned). The lines go to a
//! file, not into a pipe: once the writer is dead or frozen, all it said is there to be read.

#![allow(dead_code, clippy::unwrap_used, clippy::print_stdout)] // Test support; each binary uses a part of it.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;

use bytes::Bytes;
use trireme_raft::disk::{Disk, FaultDisk, RealDisk};
use trireme_raft::log_db::{LogDb, LogEntry, LogError, Mark, SegmentedLog, SegmentedOptions, SledLog};

/// Smallest and largest value written, in bytes.
const VALUE_BYTES: (usize, usize) = (100, 1_500_000);
/// Entries kept before the writer purges, so that the disk image stays small.
const KEPT_ENTRIES: u64 = 60;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Segmented,
    Sled,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Segmented, Self::Sled];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Segmented => "segmented",
            Self::Sled => "sled",
        }
    }

    fn parse(name: &str) -> Self {
        Self::ALL.into_iter().find(|kind| kind.name() == name).expect("a known kind")
    }

    pub(crate) fn open(
        self,
        disk: Arc<dyn Disk>,
        dir: &Path,
        create: bool,
    ) -> Result<Box<dyn LogDb>, LogError> {
        // Files of 4 MiB, so that rolling and deleting happen all the time.
        let options = SegmentedOptions { segment_bytes: 4 << 20, ..SegmentedOptions::default() };
        Ok(match (self, create) {
            (Self::Segmented, true) => Box::new(SegmentedLog::create(disk, dir, options)?),
            (Self::Segmented, false) => Box::new(SegmentedLog::open(disk, dir, options)?),
            (Self::Sled, true) => Box::new(SledLog::create(disk, dir)?),
            (Self::Sled, false) => Box::new(SledLog::open(disk, dir)?),
        })
    }
}

/// splitmix64.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// The payload of entry `index` as written in `epoch`; sizes are spread evenly over their magnitudes.
fn payload(index: u64, epoch: u64) -> Bytes {
    let mut dice = Dice(index.wrapping_mul(31).wrapping_add(epoch << 32));
    let bytes = match dice.below(100) {
        0..60 => VALUE_BYTES.0 + usize::try_from(dice.below(2000)).unwrap(),
        60..90 => usize::try_from(2000 + dice.below(60_000)).unwrap(),
        90..98 => usize::try_from(60_000 + dice.below(400_000)).unwrap(),
        _ => VALUE_BYTES.1,
    };
    let mut content = Vec::with_capacity(bytes + 8);
    content.extend_from_slice(&index.to_le_bytes());
    content.extend_from_slice(&epoch.to_le_bytes());
    while content.len() < bytes {
        content.extend_from_slice(&dice.below(u64::MAX).to_le_bytes());
    }
    content.truncate(bytes);
    content.into()
}

/// Runs the writer when this process was started as one; returns false otherwise.
pub(crate) fn run_if_writer() -> bool {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).map(String::as_str) != Some("--writer") {
        return false;
    }
    // A test that is killed cannot end its writer, which would hold a mount for ever.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).unwrap();
    let [kind, dir, seed, create, skip_sync] = &args[2..] else { panic!("five arguments: {args:?}") };
    let disk = FaultDisk::new(RealDisk);
    disk.faults().skip_sync(skip_sync == "true");
    let log = Kind::parse(kind).open(Arc::new(disk), Path::new(dir), create == "true").unwrap();
    write_for_ever(log.as_ref(), seed.parse().unwrap());
    true
}

fn say(line: std::fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).unwrap();
}

fn write_for_ever(log: &dyn LogDb, seed: u64) {
    let mut dice = Dice(seed);
    let mut epoch = seed << 16;
    let mut vote = log.mark(Mark::Vote).map_or(0, |v| u64::from_le_bytes(v[..8].try_into().unwrap()));
    say(format_args!("ready"));
    loop {
        let span = log.span();
        match dice.below(40) {
            0 => {
                vote += 1;
                log.save_vote(&vote.to_le_bytes()).unwrap();
                say(format_args!("vote {vote}"));
            }
            1 if span.last().is_some_and(|last| last > span.first + 4) => {
                let from = span.next - 1 - dice.below(3);
                say(format_args!("truncating {from}"));
                log.truncate_from(from).unwrap();
                epoch += 1;
                say(format_args!("truncated {from}"));
            }
            _ if span.next - span.first > KEPT_ENTRIES => {
                let upto = span.next - KEPT_ENTRIES / 2;
                say(format_args!("purging {upto}"));
                log.purge(upto, &upto.to_le_bytes()).unwrap();
                log.sync().unwrap();
                say(format_args!("purged {upto}"));
                log.tidy().unwrap();
            }
            _ => {
                let first = span.next.max(1);
                let last = first + dice.below(8);
                let batch: Vec<_> =
                    (first..=last).map(|index| LogEntry { index, payload: payload(index, epoch) }).collect();
                log.append(&batch).unwrap();
                log.sync().unwrap();
                say(format_args!("synced {first} {last} {epoch}"));
                log.tidy().unwrap();
            }
        }
    }
}

/// What the writer said so far.
#[derive(Debug, Default, Clone)]
pub(crate) struct Said {
    pub(crate) ready: bool,
    /// Acknowledged entries and the epoch of their content.
    pub(crate) entries: BTreeMap<u64, u64>,
    pub(crate) vote: u64,
    /// Purges that may have happened.
    pub(crate) purging: u64,
}

impl Said {
    fn hear(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |n: usize| -> u64 { words[n].parse().unwrap() };
        match words[0] {
            "ready" => self.ready = true,
            "vote" => self.vote = number(1),
            "truncating" => drop(self.entries.split_off(&number(1))),
            "truncated" => {}
            "purging" => self.purging = number(1),
            "purged" => self.entries = self.entries.split_off(&(number(1) + 1)),
            "synced" => self.entries.extend((number(1)..=number(2)).map(|index| (index, number(3)))),
            other => panic!("the writer said {other}"),
        }
    }

    /// Checks a log found after the writer died. `Err` says what was lost.
    pub(crate) fn check(&self, log: &dyn LogDb) -> Result<(), String> {
        let vote = log.mark(Mark::Vote).map_or(0, |v| u64::from_le_bytes(v[..8].try_into().unwrap()));
        if vote < self.vote {
            return Err(format!("vote {} was acknowledged, found {vote}", self.vote));
        }
        let span = log.span();
        if span.first > (self.purging + 1).max(self.first()) {
            return Err(format!("the log starts at {}, nobody purged that far", span.first));
        }
        let found = log.read(0..u64::MAX, usize::MAX).map_err(|e| e.to_string())?;
        let mut epochs = BTreeMap::new();
        for entry in found {
            let epoch = u64::from_le_bytes(entry.payload[8..16].try_into().unwrap());
            if entry.payload != payload(entry.index, epoch) {
                return Err(format!("entry {} is not what was written", entry.index));
            }
            epochs.insert(entry.index, epoch);
        }
        for (index, epoch) in self.entries.range(span.first..) {
            if epochs.get(index) != Some(epoch) {
                let last = span.last();
                return Err(format!(
                    "entry {index} was acknowledged, found {:?} of {last:?}",
                    epochs.get(index)
                ));
            }
        }
        Ok(())
    }

    fn first(&self) -> u64 {
        self.entries.keys().next().copied().unwrap_or(u64::MAX)
    }

    /// After a check, what was found counts as acknowledged: opening made it durable.
    pub(crate) fn adopt(&mut self, log: &dyn LogDb) {
        let found = log.read(0..u64::MAX, usize::MAX).unwrap();
        let epoch = |e: &LogEntry| u64::from_le_bytes(e.payload[8..16].try_into().unwrap());
        self.entries = found.iter().map(|e| (e.index, epoch(e))).collect();
        self.vote = log.mark(Mark::Vote).map_or(0, |v| u64::from_le_bytes(v[..8].try_into().unwrap()));
        self.ready = false;
    }
}

/// A writer process.
pub(crate) struct Writer {
    child: Child,
    /// What was heard so far.
    said: Said,
    /// Its standard output, and how many bytes of it were heard.
    lines: std::fs::File,
    heard: u64,
}

impl Writer {
    /// Starts a writer over the log in `dir`; `said` is what earlier writers acknowledged.
    pub(crate) fn start(
        kind: Kind,
        dir: &Path,
        seed: u64,
        create: bool,
        skip_sync: bool,
        said: Said,
    ) -> Self {
        let lines = tempfile::tempfile().unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--writer", kind.name()])
            .arg(dir)
            .args([seed.to_string(), create.to_string(), skip_sync.to_string()])
            .stdout(lines.try_clone().unwrap())
            .spawn()
            .unwrap();
        Self { child, said, lines, heard: 0 }
    }

    /// Hears the lines that are complete by now.
    fn listen(&mut self) {
        let end = self.lines.metadata().unwrap().len();
        let mut fresh = vec![0; usize::try_from(end - self.heard).unwrap()];
        self.lines.read_exact_at(&mut fresh, self.heard).unwrap();
        let complete = fresh.iter().rposition(|b| *b == b'\n').map_or(0, |last| last + 1);
        std::str::from_utf8(&fresh[..complete]).unwrap().lines().for_each(|line| self.said.hear(line));
        self.heard += complete as u64;
    }

    /// Waits until the writer works, at most 30 seconds.
    pub(crate) fn wait_ready(&mut self) {
        for _ in 0..6000 {
            self.listen();
            if self.said.ready {
                return;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the writer ended: {status}");
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        panic!("the writer does not get ready");
    }

    /// kill -9; returns everything the writer said before it died.
    pub(crate) fn kill(mut self) -> Said {
        assert!(self.child.try_wait().unwrap().is_none(), "the writer died by itself: see its output");
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.listen();
        self.said.clone()
    }

    /// Stops the writer in its tracks and returns what it said until then.
    pub(crate) fn freeze(&mut self) -> Said {
        self.signal(rustix::process::Signal::STOP);
        let stat = format!("/proc/{}/stat", self.child.id());
        for _ in 0..2000 {
            let state = std::fs::read_to_string(&stat).unwrap();
            if state.rsplit(')').next().unwrap().trim_start().starts_with('T') {
                self.listen();
                return self.said.clone();
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        panic!("the writer does not stop");
    }

    pub(crate) fn thaw(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Already gone after `kill`; otherwise a failed check is unwinding and the child must not stay.
        if self.child.kill().is_ok() {
            self.child.wait().unwrap();
        }
    }
}

/// A number from the environment, for longer runs.
pub(crate) fn count_from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

/// Options of test runners that are followed by a value.
const WITH_VALUE: [&str; 5] = ["--test-threads", "--format", "--color", "--skip", "--logfile"];

/// For a test binary with a main of its own, which has the one test `name`: answers a runner that asks for the list of
/// tests, and says whether the test shall run, by the runner's filters.
pub(crate) fn asked_for(name: &str) -> bool {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |option: &str| arguments.iter().any(|argument| argument == option);
    if has("--list") {
        if !has("--ignored") {
            println!("{name}: test");
        }
        return false;
    }
    let mut filters = Vec::new();
    let mut rest = arguments.iter().map(String::as_str);
    while let Some(argument) = rest.next() {
        if WITH_VALUE.contains(&argument) {
            rest.next();
        } else if !argument.starts_with('-') {
            filters.push(argument);
        }
    }
    let wanted = |filter: &&str| if has("--exact") { name == *filter } else { name.contains(*filter) };
    !has("--ignored") && (filters.is_empty() || filters.iter().any(wanted))
}
