//! The servers of a siege: real processes, each known by pid, each in a process group of its own.
//!
//! A stopped process must not outlive its siege. The kernel sees to that: when the siege ends, however it ends, the
//! groups of its children are orphaned, and the kernel sends SIGHUP and SIGCONT to orphaned groups with stopped
//! processes; running ones see their standard input close.

mod member;
mod tmpfs;
mod torn;

use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;
use trireme_pki::JoinRole;
use trireme_process::cluster::CreateToken;
use trireme_process::{Admin, AdminError, Client, ConnectError};

pub(crate) use member::Member;

/// How long one server may take to come up.
pub(crate) const START_LIMIT: Duration = Duration::from_secs(60);
/// Life of the tokens with which the servers join.
const TOKEN_LIFE: Duration = Duration::from_secs(600);

/// Why the servers of a siege are not there.
#[derive(Debug, Error)]
pub enum FleetError {
    /// A file or a process could not be made.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A server did not come up.
    #[error("{name} did not come up: {why}; its log is {log}")]
    NotUp {
        /// Which.
        name: String,
        /// What happened instead.
        why: String,
        /// Where its words are.
        log: PathBuf,
    },
    /// No administrator's file.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The first server does not answer.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The first server gives no token.
    #[error("no join token: {0}")]
    Token(#[from] trireme_kernel::CallError),
}

impl FleetError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// See the module.
pub(crate) struct Fleet {
    pub(crate) members: Vec<Member>,
}

impl Fleet {
    /// Starts the first server, then the others, joined by token.
    ///
    /// # Errors
    /// Says which server did not come up; those that did are killed.
    pub(crate) async fn start(
        program: &Path,
        folder: &Path,
        count: usize,
        small_disks: bool,
    ) -> Result<Self, FleetError> {
        let mut members: Vec<Member> = Vec::new();
        for index in 0..count {
            let member = Member::new(index, program, folder, small_disks)?;
            match members.first() {
                None => drop(member.start(None).await?),
                Some(first) => {
                    let admin = Admin::load(&first.folder.join("admin"))?;
                    let client = Client::connect(&admin, START_LIMIT).await?;
                    let create = CreateToken { role: JoinRole::Server, lifetime: TOKEN_LIFE };
                    let token = client.call("cluster", create).await?;
                    let _fresh = member.start(Some((admin.servers[0], token))).await?;
                }
            }
            members.push(member);
        }
        Ok(Self { members })
    }

    /// Continues what is stopped and starts what is dead. How many had to be started.
    ///
    /// # Errors
    /// A server does not come up again.
    pub(crate) async fn revive(&self) -> Result<usize, FleetError> {
        let mut started = 0;
        for member in &self.members {
            member.thaw().await;
            started += usize::from(member.start(None).await?);
        }
        Ok(started)
    }

    /// Kills everything.
    pub(crate) async fn end(&self) {
        for member in &self.members {
            member.kill().await;
            member.release_disk();
        }
    }
}
