//! One command per file.

mod apply;
mod auth;
mod create;
mod delete;
mod describe;
mod drain;
mod exec;
mod get;
mod info;
mod logs;
mod marks;
mod patch;
mod pods;
mod rollout;
mod scale;
mod wait;

use std::process::ExitCode;
use std::time::Duration;

use crate::arguments::{Command, Kubectl};
use crate::error::KubectlError;
use crate::session::Session;

/// Runs a command.
pub(crate) async fn run(kubectl: Kubectl) -> Result<ExitCode, KubectlError> {
    if let Command::Version(version) = &kubectl.command
        && version.client
    {
        info::client_version();
        return Ok(ExitCode::SUCCESS);
    }
    let session = Session::open(&kubectl.connection).await?;
    match kubectl.command {
        Command::Get(get) => get::run(&session, &get).await?,
        Command::Describe(describe) => describe::run(&session, &describe).await?,
        Command::Apply(apply) => return apply::run(&session, &apply).await,
        Command::Create(create) => create::run(&session, &create).await?,
        Command::Replace(from) => create::replace(&session, &from).await?,
        Command::Delete(delete) => delete::run(&session, &delete).await?,
        Command::Patch(patch) => patch::run(&session, &patch).await?,
        Command::Label(marks) => marks::run(&session, &marks, &marks::LABELS).await?,
        Command::Annotate(marks) => marks::run(&session, &marks, &marks::ANNOTATIONS).await?,
        Command::Scale(scale) => scale::run(&session, &scale).await?,
        Command::Logs(logs) => logs::run(&session, &logs).await?,
        Command::Exec(exec) => return exec::run(&session, &exec).await,
        Command::Rollout(rollout) => rollout::run(&session, &rollout).await?,
        Command::Wait(wait) => wait::run(&session, &wait).await?,
        Command::Cordon(node) => drain::cordon(&session, &node.nodes, true).await?,
        Command::Uncordon(node) => drain::cordon(&session, &node.nodes, false).await?,
        Command::Drain(drain) => drain::run(&session, &drain).await?,
        Command::Auth(auth) => return auth::run(&session, &auth).await,
        Command::ApiResources(wanted) => info::api_resources(&session, &wanted).await?,
        Command::ApiVersions => info::api_versions(&session).await?,
        Command::Version(_) => info::version(&session).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A duration as upstream's flags take them: `90s`, `2m`, `1h30m`; a bare number is refused but for 0.
fn duration(text: &str) -> Result<Duration, KubectlError> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
        let unit = match &rest[digits..unit_end] {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => {
                return Err(KubectlError::usage(format!(
                    "invalid argument \"{text}\": time: invalid duration \"{text}\""
                )));
            }
        };
        let number: f64 = rest[..digits]
            .parse()
            .map_err(|_| KubectlError::usage(format!("time: invalid duration \"{text}\"")))?;
        total += Duration::try_from_secs_f64(number * unit)
            .map_err(|_| KubectlError::usage(format!("time: invalid duration \"{text}\"")))?;
        rest = &rest[unit_end..];
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("90s").unwrap(), Duration::from_secs(90));
        assert_eq!(duration("1h30m").unwrap(), Duration::from_secs(5400));
        assert_eq!(duration("1.5s").unwrap(), Duration::from_millis(1500));
        assert_eq!(duration("0").unwrap(), Duration::ZERO);
        assert!(duration("5").is_err() && duration("x").is_err());
    }
}
