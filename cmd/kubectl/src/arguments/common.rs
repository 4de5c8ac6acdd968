//! Flags that several commands share, and the types of their values.

use std::time::Duration;

use clap::Args;
use thiserror::Error;

/// A value that cannot be taken; the text is the whole complaint, in upstream's words.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct BadValue(pub(crate) String);

/// A value of one of pflag's own types that does not parse; the flag's name is put before it.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct BadFlag(String);

/// Objects from files.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Files {
    /// Files, folders, or - for standard input
    #[arg(short, long, value_name = "FILE", value_delimiter = ',')]
    pub(crate) filename: Vec<String>,
    /// Process the folders used in -f recursively
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
    /// Kustomization folder: refused
    #[arg(short, long, hide = true, value_parser = no_kustomize)]
    pub(crate) kustomize: Option<String>,
}

fn no_kustomize(_: &str) -> Result<String, BadValue> {
    Err(BadValue(
        "-k (kustomize) is not built into this kubectl; upstream's works against this cluster as well"
            .to_owned(),
    ))
}

/// What a write does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum DryRun {
    #[default]
    None,
    Client,
    Server,
}

impl DryRun {
    /// What stands behind the verb.
    pub(crate) fn note(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Client => " (dry run)",
            Self::Server => " (server dry run)",
        }
    }
}

fn dry_run(text: &str) -> Result<DryRun, BadValue> {
    match text {
        "none" => Ok(DryRun::None),
        "client" => Ok(DryRun::Client),
        "server" => Ok(DryRun::Server),
        other => Err(BadValue(format!(
            "Invalid dry-run value ({other}). Must be \"none\", \"server\", or \"client\"."
        ))),
    }
}

#[derive(Args, Clone, Copy, Debug, Default)]
pub(crate) struct Dry {
    /// none, client or server
    #[arg(long, default_value = "none", num_args = 0..=1, require_equals = true, default_missing_value = "client", value_parser = dry_run)]
    pub(crate) dry_run: DryRun,
}

/// How what was written is shown.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Printing {
    /// Output format: json, yaml, name, jsonpath=...
    #[arg(short, long)]
    pub(crate) output: Option<String>,
    /// Keep the managedFields when printing objects in JSON or YAML format
    #[arg(long)]
    pub(crate) show_managed_fields: bool,
}

/// Flags of commands that write under a manager's name.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Writing {
    #[command(flatten)]
    pub(crate) printing: Printing,
    #[command(flatten)]
    pub(crate) dry: Dry,
    /// Name that owns the fields
    #[arg(long)]
    pub(crate) field_manager: Option<String>,
}

impl Writing {
    /// Parameters of a write; `manager` owns the fields when no other is named.
    pub(crate) fn query<'a>(&'a self, manager: &'a str) -> Vec<(&'a str, &'a str)> {
        let mut query = vec![("fieldManager", self.field_manager.as_deref().unwrap_or(manager))];
        query.extend((self.dry.dry_run == DryRun::Server).then_some(("dryRun", "All")));
        query
    }
}

/// How strictly the server looks at fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Validation {
    Strict,
    Warn,
    Ignore,
}

impl Validation {
    /// As the `fieldValidation` parameter has it.
    pub(crate) fn parameter(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Warn => "Warn",
            Self::Ignore => "Ignore",
        }
    }
}

fn validation(text: &str) -> Result<Validation, BadValue> {
    match text {
        "true" | "strict" => Ok(Validation::Strict),
        "warn" => Ok(Validation::Warn),
        "false" | "ignore" => Ok(Validation::Ignore),
        other => Err(BadValue(format!(
            "invalid - validate option \"{other}\"; must be one of: strict (or true), warn, ignore (or false)"
        ))),
    }
}

#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Validate {
    /// strict (or true), warn, ignore (or false)
    #[arg(long, default_value = "strict", num_args = 0..=1, require_equals = true, default_missing_value = "strict", value_parser = validation)]
    pub(crate) validate: Validation,
}

/// A duration as upstream's flags take them: `90s`, `2m`, `1h30m`; a bare number is refused but for 0. Negative ones
/// are given as they are meant: none at all.
pub(crate) fn duration(text: &str) -> Result<Duration, BadFlag> {
    let invalid = || BadFlag(format!("time: invalid duration \"{text}\""));
    let mut rest = text.strip_prefix('-').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
        let unit = match &rest[digits..unit_end] {
            "" => return Err(BadFlag(format!("time: missing unit in duration \"{text}\""))),
            "ns" => 1e-9,
            "us" => 1e-6,
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            other => {
                return Err(BadFlag(if digits == 0 {
                    format!("time: invalid duration \"{text}\"")
                } else {
                    format!("time: unknown unit \"{other}\" in duration \"{text}\"")
                }));
            }
        };
        let number: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        total += Duration::try_from_secs_f64(number * unit).map_err(|_| invalid())?;
        rest = &rest[unit_end..];
    }
    Ok(if text.starts_with('-') { Duration::MAX } else { total })
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
        assert_eq!(duration("-1s").unwrap(), Duration::MAX);
        assert_eq!(duration("zz").unwrap_err().to_string(), "time: invalid duration \"zz\"");
        assert_eq!(duration("5").unwrap_err().to_string(), "time: missing unit in duration \"5\"");
        assert_eq!(duration("5y").unwrap_err().to_string(), "time: unknown unit \"y\" in duration \"5y\"");
        assert!(duration("").is_err());
    }

    #[test]
    fn a_typo_makes_no_real_write() {
        assert!(dry_run("serverr").is_err() && dry_run("").is_err() && dry_run("None").is_err());
        assert!(validation("strickt").is_err());
        assert_eq!(validation("true").unwrap(), Validation::Strict);
    }
}
