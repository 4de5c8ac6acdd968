//! Starting shims, and ending those that do not answer.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use super::Builtin;
use super::records::SandboxRecord;
use crate::fail::{OrFail, Outcome, unavailable};
use crate::low::sys;
use crate::shim::{PID_FILE, READY};

/// How long a new shim may take until its sandbox stands.
const SHIM_START_LIMIT: Duration = Duration::from_secs(60);
impl Builtin {
    /// Starts a shim and waits until its sandbox stands; gives the pause process' id.
    pub(super) async fn launch_shim(&self, record: &SandboxRecord) -> Outcome<u32> {
        use std::os::fd::AsRawFd;
        let folder = self.layout.sandbox(&record.id);
        let log =
            fs::File::create(folder.join("shim.log")).or_fail(|| "cannot make the shim's log".into())?;
        let words = &self.config.shim_command;
        let program = match &self.program {
            Some(guarded) => format!("/proc/self/fd/{}", guarded.as_raw_fd()),
            None => words[0].clone(),
        };
        let mut command = Command::new(program);
        command.arg0(&words[0]).args(&words[1..]).arg(folder.join("shim.json"));
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().or_fail(|| format!("cannot start a shim ({})", words.join(" ")))?;
        let out = child.stdout.take().ok_or_else(|| unavailable("a shim has no output"))?;
        let mut line = String::new();
        let mut out = BufReader::new(out);
        let said = timeout(SHIM_START_LIMIT, out.read_line(&mut line)).await;
        let line = line.trim();
        if let Some(pid) = line.strip_prefix(READY).and_then(|rest| rest.trim().parse().ok()) {
            // It goes on by itself; the reactor reaps it.
            return Ok(pid);
        }
        let _ = child.start_kill();
        let why = match (said, line.strip_prefix("failed ")) {
            (Err(_), _) => format!("its shim said nothing for {SHIM_START_LIMIT:?}"),
            (_, Some(why)) => why.to_owned(),
            (_, None) => {
                let log = fs::read_to_string(folder.join("shim.log")).unwrap_or_default();
                let end = log.lines().rev().take(5).collect::<Vec<_>>();
                format!("its shim ended: {}", end.into_iter().rev().collect::<Vec<_>>().join("; "))
            }
        };
        Err(unavailable(format!("failed to create pod sandbox: {why}")))
    }
}

/// Ends a shim that did not answer (one that did is gone by now): its id is checked against what it runs.
pub(super) fn end_process(folder: &Path) {
    let pid = fs::read_to_string(folder.join(PID_FILE))
        .ok()
        .and_then(|text| text.trim().parse::<libc::pid_t>().ok());
    let Some((pid, handle)) = pid.and_then(|pid| Some((pid, sys::pidfd_open(pid).ok()?))) else { return };
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let spec = folder.join("shim.json");
    let is_it = words.split(|byte| *byte == 0).any(|word| word == spec.as_os_str().as_encoded_bytes());
    if is_it && let Err(error) = sys::pidfd_signal(&handle, libc::SIGKILL) {
        tracing::debug!(pid, %error, "a shim has ended already");
    }
}
