//! Building a package's tests and running some of them under a time limit.

use super::tree::Tree;
use crate::command::{capture, cargo_in};
use anyhow::{Context, Result};
use cargo_metadata::Message;
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often a running test binary is looked at.
const POLL: Duration = Duration::from_millis(50);
/// Most bytes of one binary's output that are read back.
const MAX_OUTPUT_BYTES: u64 = 4 << 20;
/// Most lines of a compiler's complaint that are kept.
const MAX_ERROR_LINES: usize = 30;

/// The test binaries of one package.
#[derive(Debug)]
pub(crate) struct TestBinaries {
    binaries: Vec<Binary>,
}

#[derive(Clone, Debug)]
struct Binary {
    executable: PathBuf,
    /// Cargo runs tests in the folder of their package.
    folder: PathBuf,
}

/// What a build came to.
pub(crate) enum Built {
    /// The binaries.
    Ready(TestBinaries),
    /// The compiler's complaint.
    Broken(String),
}

/// The named tests of one binary.
pub(crate) struct Named {
    binary: Binary,
    tests: Vec<String>,
}

/// One finished or stopped binary.
pub(crate) struct Run {
    /// Both output streams.
    pub(crate) output: String,
    /// Whether it ended with exit code 0.
    pub(crate) success: bool,
    /// Whether it was stopped at its limit.
    pub(crate) timed_out: bool,
}

impl TestBinaries {
    /// Builds the tests of `package` in the copied tree.
    pub(crate) fn build(tree: &Tree, package: &str) -> Result<Built> {
        let arguments = ["test", "--no-run", "--quiet", "--message-format=json", "--package", package];
        let mut command = cargo_in(tree.root(), &arguments);
        let captured = capture(command.env("CARGO_TARGET_DIR", tree.target()))?;
        let mut binaries = Vec::new();
        let mut complaints = String::new();
        for message in Message::parse_stream(captured.text.as_bytes()) {
            match message.context("cannot read cargo's messages")? {
                Message::CompilerArtifact(artifact) if artifact.profile.test => {
                    let folder = artifact.manifest_path.parent().unwrap_or(&artifact.manifest_path);
                    let folder = PathBuf::from(folder);
                    binaries
                        .extend(artifact.executable.map(|path| Binary { executable: path.into(), folder }));
                }
                Message::CompilerMessage(text) => {
                    complaints.push_str(&text.message.rendered.unwrap_or_default())
                }
                Message::TextLine(line) => complaints.push_str(&format!("{line}\n")),
                _ => {}
            }
        }
        if captured.success {
            return Ok(Built::Ready(Self { binaries }));
        }
        Ok(Built::Broken(complaints.lines().take(MAX_ERROR_LINES).collect::<Vec<_>>().join("\n")))
    }

    /// The tests that have `part` in their name.
    pub(crate) fn matching(&self, part: &str) -> Result<Vec<Named>> {
        let mut named = Vec::new();
        for binary in &self.binaries {
            let mut command = Command::new(&binary.executable);
            let listed = capture(command.current_dir(&binary.folder).args(["--list", "--format", "terse"]))?;
            let names = listed.text.lines().filter_map(|line| line.strip_suffix(": test"));
            let tests: Vec<String> = names.filter(|name| name.contains(part)).map(str::to_owned).collect();
            if !tests.is_empty() {
                named.push(Named { binary: binary.clone(), tests });
            }
        }
        Ok(named)
    }

    /// Runs the named tests; all binaries together get `limit`.
    pub(crate) fn run(&self, named: &[Named], limit: Duration) -> Result<Vec<Run>> {
        let end = Instant::now() + limit;
        named.iter().map(|named| run_one(named, end)).collect()
    }
}

fn run_one(named: &Named, end: Instant) -> Result<Run> {
    let path = named.binary.executable.with_extension("mutant-output");
    let mut output = File::options().create(true).truncate(true).read(true).write(true).open(&path)?;
    let mut child = Command::new(&named.binary.executable)
        .current_dir(&named.binary.folder)
        .env("CARGO_MANIFEST_DIR", &named.binary.folder)
        .arg("--exact")
        .args(&named.tests)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output.try_clone()?)
        .spawn()
        .with_context(|| format!("cannot run {}", named.binary.executable.display()))?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if Instant::now() >= end {
            child.kill()?;
            child.wait()?;
            break None;
        }
        sleep(POLL);
    };
    let mut text = Vec::new();
    output.rewind()?;
    output.take(MAX_OUTPUT_BYTES).read_to_end(&mut text)?;
    std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    let output = String::from_utf8_lossy(&text).into_owned();
    Ok(Run { output, success: status.is_some_and(|status| status.success()), timed_out: status.is_none() })
}
