//! What `trireme chaos run`, `check` and `replay` do.

use std::path::{Path, PathBuf};

use trireme_laws::{History, Limits};
use trireme_pki::install_crypto_provider;

use crate::checks::Table;
use crate::report::Report;
use crate::run::SiegeError;
use crate::settings::{Plan, Settings};
use crate::{failover, run as siege};

/// The whole history of a siege, in its folder.
const HISTORY_FILE: &str = "history.jsonl";
/// The smallest failing histories of the broken laws, one after the other.
const FAILING_FILE: &str = "failing.jsonl";
/// The report as JSON.
const REPORT_FILE: &str = "report.json";

/// Runs a siege. Its folder is left behind when something failed, when it was asked for, and when the caller named it.
///
/// # Errors
/// Says why there is no verdict. A verdict against the cluster is no error: see [`Report::passed`].
pub async fn run(settings: &Settings) -> Result<Report, SiegeError> {
    if !matches!(settings.members, 3 | 5) {
        return Err(SiegeError::Settings(format!("{} members: a siege is of 3 or 5", settings.members)));
    }
    if settings.clients == 0 {
        return Err(SiegeError::Settings("no clients: there would be nothing to judge".to_owned()));
    }
    install_crypto_provider();
    let folder = Folder::make(settings.folder.as_deref())?;
    let ran = match &settings.plan {
        Plan::Faults { seconds, kinds } => siege::run(settings, folder.path(), *seconds, kinds).await,
        Plan::Failover { harm, rounds } => failover::run(settings, folder.path(), *harm, *rounds).await,
    };
    let (mut report, history) = match ran {
        Ok(ran) => ran,
        Err(error) => {
            // The servers' logs say why.
            folder.leave();
            return Err(error);
        }
    };
    if report.passed() && !settings.keep && settings.folder.is_none() {
        return Ok(report);
    }
    let path = folder.leave();
    report.history = Some(write(&path.join(HISTORY_FILE), &history.to_json_lines())?);
    if let Some(lines) = report.failing_lines() {
        report.failing = Some(write(&path.join(FAILING_FILE), &lines)?);
    }
    let text = serde_json::to_string_pretty(&report).expect("a report has string keys only");
    write(&path.join(REPORT_FILE), &text)?;
    Ok(report)
}

/// Judges a recorded history again.
///
/// # Errors
/// The file cannot be read, or is no history.
pub fn check_file(file: &Path) -> Result<Table, SiegeError> {
    let failed = |source| SiegeError::File { file: file.to_owned(), source };
    let text = std::fs::read_to_string(file).map_err(failed)?;
    let history = History::from_json_lines(&text)
        .map_err(|source| SiegeError::History { file: file.to_owned(), source })?;
    Ok(Table::judge(&history, &Limits::default()))
}

fn write(file: &Path, text: &str) -> Result<PathBuf, SiegeError> {
    std::fs::write(file, text).map_err(|source| SiegeError::File { file: file.to_owned(), source })?;
    Ok(file.to_owned())
}

/// The folder of a siege: the caller's, or a temporary one that goes away unless it is left.
enum Folder {
    Named(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Folder {
    fn make(named: Option<&Path>) -> Result<Self, SiegeError> {
        let Some(path) = named else {
            let made = tempfile::Builder::new().prefix("trireme-siege-").tempdir();
            let made = made.map_err(|source| SiegeError::File { file: std::env::temp_dir(), source })?;
            return Ok(Self::Temporary(made));
        };
        let failed = |source| SiegeError::File { file: path.to_owned(), source };
        std::fs::create_dir_all(path).map_err(failed)?;
        if std::fs::read_dir(path).map_err(failed)?.next().is_some() {
            return Err(SiegeError::Settings(format!("{} is not empty; name a new folder", path.display())));
        }
        // Processes get it as an argument and do not share our working directory's fate.
        Ok(Self::Named(path.canonicalize().map_err(failed)?))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Named(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }

    fn leave(self) -> PathBuf {
        match self {
            Self::Named(path) => path,
            Self::Temporary(folder) => folder.keep(),
        }
    }
}
