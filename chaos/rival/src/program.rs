//! Programs and folders of a run: where they are, and that they go away.

use std::path::{Path, PathBuf};
use std::process::Command as Blocking;

use anyhow::{Context, Result, bail};
use rustix::fs::statfs;
use tempfile::TempDir;

use crate::command::Place;

/// File systems that keep nothing: syncing there costs nothing.
const MEMORY_FILE_SYSTEMS: [i64; 2] = [0x0102_1994, 0x8584_58f6];

/// The trireme program, brought up to date when cargo runs us.
pub(crate) fn trireme(place: &Place) -> Result<PathBuf> {
    if let Some(program) = &place.program {
        return absolute(program);
    }
    let me = std::env::current_exe().context("finding this program")?;
    if let Some(cargo) = std::env::var_os("CARGO") {
        let mut build = Blocking::new(cargo);
        build.args(["build", "--quiet", "--package", "trireme"]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        let built = build.status().context("running cargo")?;
        if !built.success() {
            bail!("trireme does not build; give the program with --program");
        }
    }
    absolute(&me.with_file_name("trireme"))
}

fn absolute(program: &Path) -> Result<PathBuf> {
    program.canonicalize().with_context(|| {
        format!("{}: build it (cargo build --release) or name it with --program", program.display())
    })
}

/// A folder for this run, on a disk that keeps what is synced.
pub(crate) fn folder(place: &Place) -> Result<TempDir> {
    let dir = &place.dir;
    std::fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
    let kind = statfs(dir).with_context(|| format!("looking at {}", dir.display()))?.f_type;
    if MEMORY_FILE_SYSTEMS.contains(&(kind as i64)) {
        bail!(
            "{} is in memory, where syncing costs nothing: name a folder on a disk with --dir",
            dir.display()
        );
    }
    tempfile::Builder::new()
        .prefix("run-")
        .tempdir_in(dir)
        .with_context(|| format!("a folder in {}", dir.display()))
}

/// Resident and proportional memory of a process, in bytes, as the kernel counts it.
pub(crate) fn memory_bytes(pid: u32) -> Result<(u64, u64)> {
    let rollup = format!("/proc/{pid}/smaps_rollup");
    let text = std::fs::read_to_string(&rollup).with_context(|| rollup.clone())?;
    let of = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        let kib =
            line.and_then(|line| line.split_whitespace().nth(1)).and_then(|kib| kib.parse::<u64>().ok());
        kib.map(|kib| kib * 1024).with_context(|| format!("{name} in {rollup}"))
    };
    Ok((of("Rss:")?, of("Pss:")?))
}

/// Processor time of a process so far, in seconds.
pub(crate) fn processor_seconds(pid: u32) -> Result<f64> {
    let file = format!("/proc/{pid}/schedstat");
    // Of the main thread alone there; summed over the tasks it is exact to the nanosecond.
    let mut nanoseconds = 0_u64;
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).with_context(|| file.clone())? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        let first = text.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
        nanoseconds += first.with_context(|| format!("{file}: {text}"))?;
    }
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds of a run stay far below 2^52")]
    Ok(nanoseconds as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_has_run() {
        let (resident, proportional) = memory_bytes(std::process::id()).unwrap();
        assert!(resident >= proportional && proportional > 100_000);
        assert!(processor_seconds(std::process::id()).unwrap() > 0.0);
    }

    #[test]
    fn a_folder_in_memory_is_refused() {
        let place = |dir: &str| Place { program: None, dir: dir.into(), json: false };
        if Path::new("/dev/shm").exists() {
            assert!(folder(&place("/dev/shm")).unwrap_err().to_string().contains("in memory"));
        }
        assert!(trireme(&Place { program: Some("/no/such".into()), ..place("/tmp") }).is_err());
    }
}
