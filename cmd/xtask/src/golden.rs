//! `cargo xtask golden`: replays the recorded exchanges of a real API server against this one, area by area, and holds
//! the recorded floors.
//!
//! The corpus lies outside the repository; without it the run is skipped, and says so. The server is the built binary,
//! on a port of the system's choice and with a data folder of its own; it is stopped with its standard input's end.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::command::{cargo_in, stream};
use crate::workspace::Workspace;

/// The recorded floors, in the root of the repository.
const FLOORS: &str = ".golden-floors.toml";
/// Where the corpus usually lies, seen from the root of the repository.
const USUAL_PLACE: &str = "../shared/golden";
/// How long the server may take to be ready.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Pause between two looks at whether it is.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What to replay.
pub(crate) struct Options {
    /// Folder of the corpus, with `replay.py`, `tokens.csv` and `dev/`.
    pub(crate) corpus: Option<PathBuf>,
    /// Only these areas.
    pub(crate) areas: Vec<String>,
    /// Cases at a time.
    pub(crate) jobs: u32,
    /// Raise the recorded floors to what was reached.
    pub(crate) record: bool,
}

#[derive(Deserialize)]
struct Outcome {
    area: String,
    name: String,
    ok: bool,
    /// Texts that are as recorded, and texts that are compared.
    messages: (u64, u64),
}

/// Replays; true when no area fell below its floor.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<bool> {
    let root = workspace.root();
    let corpus = options.corpus.clone().unwrap_or_else(|| root.join(USUAL_PLACE));
    let corpus = match corpus.canonicalize() {
        Ok(found) if found.join("replay.py").exists() => found,
        _ => {
            println!("golden  SKIPPED  no corpus at {}; give --corpus DIR", corpus.display());
            return Ok(true);
        }
    };
    if !stream(&mut cargo_in(root, &["build", "--package", "trireme"]))? {
        bail!("the product does not build");
    }
    let folder = root.join("target/golden-run");
    if folder.exists() {
        fs::remove_dir_all(&folder).context("cannot empty the folder of an earlier run")?;
    }
    fs::create_dir_all(&folder)?;
    let server = Server::start(root, &folder, &corpus)?;
    let mut reached = replay(&corpus, &folder, &server.address, &options.areas, options.jobs)?;
    let floors = Floors::read(root)?;
    let below = floors.below(&reached);
    if !below.is_empty() {
        println!(
            "golden  AGAIN    {}: one case at a time, in case a slow machine is to blame",
            below.join(", ")
        );
        for (area, cases) in replay(&corpus, &folder, &server.address, &below, 1)? {
            let first = reached.entry(area).or_default();
            for (case, ok) in cases {
                *first.entry(case).or_default() |= ok;
            }
        }
    }
    drop(server);
    judge(root, floors, &reached, options)
}

struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(root: &Path, folder: &Path, corpus: &Path) -> Result<Self> {
        let ready = folder.join("ready");
        let data = folder.join("data");
        let log = fs::File::create(folder.join("server.log"))?;
        let child = Command::new(root.join("target/debug/trireme"))
            .args(["server", "--components", "api", "--listen", "127.0.0.1:0", "--stop-on-stdin-eof"])
            .arg("--service-cidr=10.96.0.0/12")
            .arg(format!("--data-dir={}", data.display()))
            .arg(format!("--ready-file={}", ready.display()))
            .arg(format!("--token-auth-file={}", corpus.join("tokens.csv").display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("cannot start target/debug/trireme")?;
        let mut server = Self { child, address: String::new() };
        let started = Instant::now();
        while !ready.exists() {
            if let Some(status) = server.child.try_wait()? {
                bail!(
                    "the server ended while starting ({status}); see {}",
                    folder.join("server.log").display()
                );
            }
            if started.elapsed() > START_LIMIT {
                bail!(
                    "the server is not ready after {START_LIMIT:?}; see {}",
                    folder.join("server.log").display()
                );
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        server.address = fs::read_to_string(data.join("api.address"))?.trim().to_owned();
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its standard input ends, which stops it.
        drop(self.child.stdin.take());
        if let Err(error) = self.child.wait() {
            println!("golden  the server could not be waited for: {error}");
        }
    }
}

/// Which cases of an area passed.
type Reached = BTreeMap<String, BTreeMap<String, bool>>;

fn replay(corpus: &Path, folder: &Path, address: &str, areas: &[String], jobs: u32) -> Result<Reached> {
    let results = folder.join("results.json");
    let mut command = Command::new("python3");
    command
        .arg(corpus.join("replay.py"))
        .args(["--server", &format!("https://{address}"), "--jobs", &jobs.to_string()])
        .arg("--json")
        .arg(&results)
        .args(areas.iter().flat_map(|area| ["--area", area]))
        .arg(corpus.join("dev"));
    // Its exit code says whether every case passed, which the floors judge.
    stream(&mut command)?;
    let text = fs::read_to_string(&results).context("the replay left no results")?;
    let outcomes: Vec<Outcome> = serde_json::from_str(&text).context("the replay's results")?;
    let texts = outcomes.iter().fold((0, 0), |sum, o| (sum.0 + o.messages.0, sum.1 + o.messages.1));
    println!("golden  messages: {} of {} texts as recorded", texts.0, texts.1);
    let mut reached = Reached::new();
    for outcome in &outcomes {
        if outcome.name.is_empty() {
            bail!("a case of {} has no name", outcome.area);
        }
        reached.entry(outcome.area.clone()).or_default().insert(outcome.name.clone(), outcome.ok);
    }
    Ok(reached)
}

/// Floors by area, in cases that pass, and the cases that stand apart.
#[derive(Default, Deserialize)]
struct Floors {
    #[serde(default)]
    floors: BTreeMap<String, usize>,
    #[serde(default)]
    apart: Vec<Apart>,
}

/// Cases that this server answers otherwise for a reason.
#[derive(Deserialize)]
struct Apart {
    why: String,
    /// `area/name`; a trailing `*` stands for the rest.
    cases: Vec<String>,
}

impl Floors {
    fn read(root: &Path) -> Result<Self> {
        let text = fs::read_to_string(root.join(FLOORS)).unwrap_or_default();
        toml::from_str(&text).with_context(|| format!("{FLOORS} is damaged"))
    }

    /// Areas of which fewer cases passed than the floor says.
    fn below(&self, reached: &Reached) -> Vec<String> {
        let is_below = |(area, cases): &(&String, &BTreeMap<String, bool>)| {
            cases.values().filter(|ok| **ok).count() < self.floors.get(*area).copied().unwrap_or(0)
        };
        reached.iter().filter(is_below).map(|(area, _)| area.clone()).collect()
    }

    fn is_apart(&self, case: &str) -> bool {
        self.apart.iter().flat_map(|apart| &apart.cases).any(|pattern| matches(pattern, case))
    }

    /// Patterns that stand for no case that fails.
    fn idle<'a>(&'a self, failing: &'a [String]) -> impl Iterator<Item = (&'a str, &'a str)> {
        let all = self.apart.iter().flat_map(|a| a.cases.iter().map(|c| (a.why.as_str(), c.as_str())));
        all.filter(|(_, pattern)| !failing.iter().any(|case| matches(pattern, case)))
    }
}

fn matches(pattern: &str, case: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == case, |start| case.starts_with(start))
}

fn judge(root: &Path, mut floors: Floors, reached: &Reached, options: &Options) -> Result<bool> {
    let mut good = true;
    let mut failing = Vec::new();
    for (area, cases) in reached {
        let passed = cases.values().filter(|ok| **ok).count();
        let missed = cases.iter().filter(|(_, ok)| !**ok).map(|(name, _)| format!("{area}/{name}"));
        let (apart, own): (Vec<_>, Vec<_>) = missed.partition(|case| floors.is_apart(case));
        let floor = floors.floors.get(area).copied().unwrap_or(0);
        let verdict = verdict(passed, floor);
        good &= verdict != "BELOW";
        let counted = cases.len() - apart.len();
        println!(
            "golden  {verdict:7}  {area}: {passed} of {} pass, the floor is {floor}; {}.{} % of the {counted} that \
             count",
            cases.len(),
            passed * 100 / counted.max(1),
            passed * 1000 / counted.max(1) % 10,
        );
        for case in &own {
            println!("golden  missed   {case}");
        }
        failing.extend(apart);
        failing.extend(own);
        if options.record {
            let own = floors.floors.entry(area.clone()).or_default();
            *own = (*own).max(passed);
        }
    }
    if options.areas.is_empty() {
        for (why, pattern) in floors.idle(&failing) {
            println!("golden  IDLE     {pattern} passes and need not stand apart ({why})");
            good = false;
        }
    }
    if options.record {
        let path = root.join(FLOORS);
        let text = fs::read_to_string(&path).unwrap_or_default();
        fs::write(&path, written(&text, &floors.floors))?;
    }
    Ok(good)
}

fn verdict(passed: usize, floor: usize) -> &'static str {
    match passed.cmp(&floor) {
        std::cmp::Ordering::Less => "BELOW",
        std::cmp::Ordering::Equal => "ok",
        std::cmp::Ordering::Greater => "above",
    }
}

/// The file with the floors as they are now; what stands before them stays.
fn written(text: &str, floors: &BTreeMap<String, usize>) -> String {
    let mut out = text.split_once("[floors]").map_or_else(String::new, |(before, _)| before.to_owned());
    out.push_str("[floors]\n");
    for (area, floor) in floors {
        out.push_str(&format!("{area} = {floor}\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str =
        "# head\n[[apart]]\nwhy = \"w\"\ncases = [\"crd/cel-*\", \"auth/x\"]\n\n[floors]\napply = 1\n";

    #[test]
    fn floors_are_read_back_as_written() {
        let floors: BTreeMap<String, usize> = [("apply".to_owned(), 7), ("list-watch".to_owned(), 9)].into();
        let text = written(FILE, &floors);
        let read: Floors = toml::from_str(&text).unwrap();
        assert_eq!(read.floors, floors);
        assert_eq!(read.apart.len(), 1);
        assert!(text.starts_with("# head\n"));
        assert_eq!((verdict(6, 7), verdict(7, 7), verdict(8, 7)), ("BELOW", "ok", "above"));
    }

    #[test]
    fn cases_stand_apart_by_pattern_and_idle_patterns_are_found() {
        let floors: Floors = toml::from_str(FILE).unwrap();
        assert!(floors.is_apart("crd/cel-simple") && floors.is_apart("auth/x"));
        assert!(!floors.is_apart("auth/xy") && !floors.is_apart("crd/simple"));
        let idle: Vec<_> =
            floors.idle(&["crd/cel-simple".to_owned()]).map(|(_, pattern)| pattern.to_owned()).collect();
        assert_eq!(idle, ["auth/x"]);
    }
}
