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
    let reached = replay(&corpus, &folder, &server.address, options)?;
    drop(server);
    judge(root, &reached, options)
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

/// Cases passed and cases, by area.
type Reached = BTreeMap<String, (usize, usize)>;

fn replay(corpus: &Path, folder: &Path, address: &str, options: &Options) -> Result<Reached> {
    let results = folder.join("results.json");
    let mut command = Command::new("python3");
    command
        .arg(corpus.join("replay.py"))
        .args(["--server", &format!("https://{address}"), "--jobs", &options.jobs.to_string()])
        .arg("--json")
        .arg(&results)
        .args(options.areas.iter().flat_map(|area| ["--area", area]))
        .arg(corpus.join("dev"));
    // Its exit code says whether every case passed, which the floors judge.
    stream(&mut command)?;
    let text = fs::read_to_string(&results).context("the replay left no results")?;
    let outcomes: Vec<Outcome> = serde_json::from_str(&text).context("the replay's results")?;
    let mut reached = Reached::new();
    for outcome in &outcomes {
        let area = reached.entry(outcome.area.clone()).or_default();
        area.0 += usize::from(outcome.ok);
        area.1 += 1;
        if outcome.name.is_empty() {
            bail!("a case of {} has no name", outcome.area);
        }
    }
    Ok(reached)
}

/// Floors by area, in cases that pass.
#[derive(Default, Deserialize)]
struct Floors {
    #[serde(default)]
    floors: BTreeMap<String, usize>,
}

fn judge(root: &Path, reached: &Reached, options: &Options) -> Result<bool> {
    let path = root.join(FLOORS);
    let text = fs::read_to_string(&path).unwrap_or_default();
    let mut floors: Floors = toml::from_str(&text).with_context(|| format!("{FLOORS} is damaged"))?;
    let mut good = true;
    for (area, (passed, of)) in reached {
        let floor = floors.floors.get(area).copied().unwrap_or(0);
        let verdict = verdict(*passed, floor);
        good &= verdict != "BELOW";
        println!("golden  {verdict:7}  {area}: {passed} of {of} pass, the floor is {floor}");
        if options.record {
            let own = floors.floors.entry(area.clone()).or_default();
            *own = (*own).max(*passed);
        }
    }
    if options.record {
        fs::write(&path, written(&floors.floors))?;
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

fn written(floors: &BTreeMap<String, usize>) -> String {
    let mut out =
        "# Cases of the golden corpus that pass, by area: `cargo xtask golden` holds them, --record raises \
                   them.\n[floors]\n"
            .to_owned();
    for (area, floor) in floors {
        out.push_str(&format!("{area} = {floor}\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floors_are_read_back_as_written() {
        let floors: BTreeMap<String, usize> = [("apply".to_owned(), 7), ("list-watch".to_owned(), 9)].into();
        let read: Floors = toml::from_str(&written(&floors)).unwrap();
        assert_eq!(read.floors, floors);
        assert_eq!((verdict(6, 7), verdict(7, 7), verdict(8, 7)), ("BELOW", "ok", "above"));
    }
}
