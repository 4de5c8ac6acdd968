//! Flags that are durations, with their bounds.

use std::ops::RangeInclusive;
use std::time::Duration;

use clap::Args;
use trireme_pki::{CERTIFICATE_LIFETIME_LIMIT, CERTIFICATE_LIFETIME_MINIMUM};

/// How servers sign.
#[derive(Args, Clone, Debug)]
pub(crate) struct SigningArgs {
    /// Life of the certificates that servers sign for machines, as `720h` or `90m`; renewed long before they end.
    #[arg(long, default_value = "720h", value_parser = signing_duration, value_name = "DURATION")]
    pub(crate) cluster_signing_duration: Duration,
}

fn signing_duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let allowed = CERTIFICATE_LIFETIME_MINIMUM..=CERTIFICATE_LIFETIME_LIMIT;
    match allowed.contains(&duration) {
        true => Ok(duration),
        false => Err(format!("must be {:?} to {:?}", allowed.start(), allowed.end())),
    }
}

/// Shortest and longest time for which history is kept.
const HISTORY: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(30 * 24 * 3600);

/// How long history is kept unless somebody says otherwise: as long as Kubernetes clusters keep theirs.
pub(crate) const HISTORY_DEFAULT: Duration = Duration::from_secs(5 * 60);

/// Reads the time for which history is kept.
pub(crate) fn history_duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    match HISTORY.contains(&duration) {
        true => Ok(duration),
        false => Err(format!("must be {:?} to {:?}", HISTORY.start(), HISTORY.end())),
    }
}

/// Shortest and longest time that a request may take.
const REQUEST: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);

/// Reads the time that a request may take.
pub(crate) fn request_duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    match REQUEST.contains(&duration) {
        true => Ok(duration),
        false => Err(format!("must be {:?} to {:?}", REQUEST.start(), REQUEST.end())),
    }
}
