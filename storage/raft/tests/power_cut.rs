//! The power-cut gate: a log on a loop-mounted ext4 file system, the writer frozen, the image copied as the block
//! device had received it (not what the page cache of the mount holds), mounted elsewhere and opened.
//!
//! For each log: cuts of fresh databases (a file system each) and of an aged one (hundreds of truncations, purges
//! and file rolls behind it). Nothing acknowledged may be missing, nothing may fail to open. The control run skips
//! the syncs and must lose data, or the gate proves nothing.
//!
//! Needs root, loop devices, mount, unshare and mkfs.ext4; says which is missing and ends well, unless
//! `TRIREME_POWER_CUT_REQUIRED=1`. Nothing stays behind, even after kill -9: the mounts are in a namespace of this
//! process, the loop devices go with their mounts, and the writers die with it. `TRIREME_POWER_CUTS` sets the cuts for each log (40 by default).

#![allow(clippy::unwrap_used, clippy::print_stdout)] // A test binary without harness.

mod support;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use support::{Dice, Kind, Said, Writer, asked_for, count_from_env, run_if_writer};
use trireme_raft::disk::RealDisk;

const IMAGE_BYTES: u64 = 320 << 20;
/// Says that this process has a mount namespace of its own.
const INSIDE: &str = "--inside";

fn main() {
    if run_if_writer() {
        return;
    }
    if !asked_for("power_cut") {
        return;
    }
    let ready = if std::env::args().any(|arg| arg == INSIDE) { probe() } else { enter_namespace() };
    if let Err(why) = ready {
        assert!(std::env::var("TRIREME_POWER_CUT_REQUIRED").is_err(), "power-cut gate cannot run: {why}");
        println!("power-cut gate SKIPPED: {why}");
        return;
    }
    let home = working_directory();
    let cuts = count_from_env("TRIREME_POWER_CUTS", 40);
    for kind in Kind::ALL {
        let mut gate =
            Gate { home: home.path().to_owned(), kind, dice: Dice(7), failures: Vec::new(), entries: 0 };
        gate.control();
        gate.fresh(cuts / 2);
        gate.aged(cuts - cuts / 2);
        assert!(gate.failures.is_empty(), "{}: {:#?}", kind.name(), gate.failures);
        println!(
            "power cuts, {}: {} fresh and {} aged cuts, {} acknowledged entries checked, nothing lost",
            kind.name(),
            cuts / 2,
            cuts - cuts / 2,
            gate.entries
        );
    }
}

struct Gate {
    home: PathBuf,
    kind: Kind,
    dice: Dice,
    failures: Vec<String>,
    entries: usize,
}

impl Gate {
    /// The same cuts with skipped syncs: they must lose data.
    fn control(&mut self) {
        const CONTROL_CUTS: u64 = 4;
        let mut lost = 0;
        for seed in 1..=CONTROL_CUTS {
            lost += u32::from(self.cut_fresh(seed, true).is_err());
        }
        println!(
            "power cuts, {}: control without syncs lost data in {lost} of {CONTROL_CUTS}",
            self.kind.name()
        );
        assert!(lost > 0, "a writer that skips its syncs lost nothing: this gate cannot see anything");
    }

    fn fresh(&mut self, cuts: u64) {
        for seed in 1..=cuts {
            if let Err(what) = self.cut_fresh(seed, false) {
                self.failures.push(format!("fresh {seed}: {what}"));
            }
        }
    }

    /// One file system, one writer that never ends, many cuts.
    fn aged(&mut self, cuts: u64) {
        let mount = Mount::format(&self.home, "live");
        let mut writer = Writer::start(self.kind, &mount.dir().join("log"), 99, true, false, Said::default());
        writer.wait_ready();
        std::thread::sleep(Duration::from_secs(3));
        for cut in 1..=cuts {
            std::thread::sleep(Duration::from_millis(20 + self.dice.below(300)));
            let said = writer.freeze();
            let image = mount.snapshot();
            writer.thaw();
            if let Err(what) = self.check(&image, &said) {
                self.failures.push(format!("aged {cut}: {what}"));
            }
        }
        drop(writer);
    }

    fn cut_fresh(&mut self, seed: u64, skip_sync: bool) -> Result<(), String> {
        let mount = Mount::format(&self.home, "live");
        let dir = mount.dir().join("log");
        let mut writer = Writer::start(self.kind, &dir, seed, true, skip_sync, Said::default());
        writer.wait_ready();
        std::thread::sleep(Duration::from_millis(50 + self.dice.below(400)));
        let said = writer.freeze();
        let image = mount.snapshot();
        drop(writer);
        self.check(&image, &said)
    }

    fn check(&mut self, image: &Path, said: &Said) -> Result<(), String> {
        let mount = Mount::attach(image.to_owned())?;
        let log =
            self.kind.open(Arc::new(RealDisk), &mount.dir().join("log"), false).map_err(|e| e.to_string())?;
        self.entries += said.entries.len();
        said.check(log.as_ref())
    }
}

/// An ext4 image on a loop device, mounted; all undone on drop.
struct Mount {
    image: PathBuf,
}

impl Mount {
    fn format(home: &Path, name: &str) -> Self {
        let image = home.join(format!("{name}.img"));
        let file = std::fs::File::create(&image).unwrap();
        file.set_len(IMAGE_BYTES).unwrap();
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image)).unwrap();
        Self::attach(image).unwrap()
    }

    fn attach(image: PathBuf) -> Result<Self, String> {
        let mount = image.with_extension("mnt");
        std::fs::create_dir_all(&mount).map_err(|e| e.to_string())?;
        // `-o loop` takes a free device that the kernel frees with the mount.
        run(Command::new("mount").args(["-t", "ext4", "-o", "loop"]).arg(&image).arg(&mount))?;
        Ok(Self { image })
    }

    fn dir(&self) -> PathBuf {
        self.image.with_extension("mnt")
    }

    /// Copies the backing file: what the device received. Dirty pages of the mounted files are not in it.
    fn snapshot(&self) -> PathBuf {
        let copy = self.image.with_file_name("cut.img");
        std::fs::copy(&self.image, &copy).unwrap();
        copy
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // A dying writer may hold the mount for a moment.
        for _ in 0..50 {
            if run(Command::new("umount").arg(self.dir())).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        println!("still mounted until this process ends: {}", self.image.display());
    }
}

/// Memory if there is room: the gate then spends its time on cuts, not on a disk.
fn working_directory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let roomy = rustix::fs::statvfs(memory).is_ok_and(|s| s.f_bavail * s.f_frsize > 8 * IMAGE_BYTES);
    if roomy { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// Starts this program again, in this process, with a mount namespace of its own. Returns only if that fails.
fn enter_namespace() -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("it needs root".to_owned());
    }
    run(Command::new("unshare").args(["--mount", "true"]))
        .map_err(|e| format!("it needs a mount namespace: {e}"))?;
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let failed = Command::new("unshare").args(["--mount", "--"]).arg(program).arg(INSIDE).exec();
    Err(format!("it needs a mount namespace: {failed}"))
}

fn probe() -> Result<(), String> {
    run(Command::new("mkfs.ext4").arg("-V")).map_err(|e| format!("it needs mkfs.ext4: {e}"))?;
    let home = tempfile::tempdir().map_err(|e| e.to_string())?;
    let image = home.path().join("probe.img");
    let file = std::fs::File::create(&image).map_err(|e| e.to_string())?;
    file.set_len(16 << 20).map_err(|e| e.to_string())?;
    run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image))?;
    let mount = Mount::attach(image).map_err(|e| format!("it needs loop devices and mount: {e}"))?;
    drop(mount);
    Ok(())
}

fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
