//! `--config FILE`: flags from a YAML file, put behind those of the command line, which win.
//!
//! Every flag of the subcommand can stand there by its name, as `service-cidr: 10.96.0.0/12`. Lists are joined by commas;
//! `true` sets a flag that takes no value, `false` leaves it out. A name that is no flag is refused as on the command
//! line, with its file's name.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::CommandFactory;
use serde_json::Value;

use crate::cli::Cli;

/// Longest file taken, in bytes.
const FILE_BYTES: u64 = 1024 * 1024;

/// The arguments with those of the file that `--config` names.
///
/// # Errors
/// The file cannot be read, or says what no flag says.
pub(crate) fn expand(arguments: Vec<OsString>) -> anyhow::Result<Vec<OsString>> {
    let Some(file) = named(&arguments) else { return Ok(arguments) };
    let size = std::fs::metadata(&file).with_context(|| format!("--config: {}", file.display()))?.len();
    if size > FILE_BYTES {
        bail!("--config: {} has {size} bytes, at most {FILE_BYTES} are taken", file.display());
    }
    let text = std::fs::read_to_string(&file).with_context(|| format!("--config: {}", file.display()))?;
    let more = flags(&arguments, &text).with_context(|| format!("--config: {}", file.display()))?;
    Ok(arguments.into_iter().chain(more.into_iter().map(OsString::from)).collect())
}

/// The file that `--config` names.
fn named(arguments: &[OsString]) -> Option<PathBuf> {
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy();
        if text == "--" {
            return None;
        }
        if text == "--config" {
            return arguments.next().map(PathBuf::from);
        }
        if let Some(file) = text.strip_prefix("--config=") {
            return Some(Path::new(file).to_owned());
        }
    }
    None
}

/// The flags that the text adds.
fn flags(arguments: &[OsString], text: &str) -> anyhow::Result<Vec<String>> {
    let entries: Value = trireme_schema::yaml::parse(text.as_bytes())?.value;
    let entries = match entries {
        Value::Null => return Ok(Vec::new()),
        Value::Object(entries) => entries,
        _ => bail!("it must be a mapping of flags to values"),
    };
    let (given, known) = (given(arguments), known(arguments));
    let mut out = Vec::new();
    for (name, value) in &entries {
        if name == "config" || !known.contains(name) {
            bail!("{name:?} is no flag of this command; known: {}", list(&known));
        }
        if given.contains(name) {
            continue;
        }
        match value {
            Value::Bool(true) => out.push(format!("--{name}")),
            Value::Bool(false) | Value::Null => {}
            Value::Array(items) => {
                let items: Option<Vec<String>> = items.iter().map(scalar).collect();
                let items = items.with_context(|| format!("{name}: a list of plain values is needed"))?;
                out.push(format!("--{name}={}", items.join(",")));
            }
            other => {
                let text = scalar(other).with_context(|| format!("{name}: a plain value is needed"))?;
                out.push(format!("--{name}={text}"));
            }
        }
    }
    Ok(out)
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// Names of the flags on the command line.
fn given(arguments: &[OsString]) -> BTreeSet<String> {
    let names = arguments.iter().filter_map(|argument| {
        let text = argument.to_str()?.strip_prefix("--")?;
        Some(text.split('=').next().unwrap_or(text).to_owned())
    });
    names.collect()
}

/// Names of the flags that the subcommand takes.
fn known(arguments: &[OsString]) -> BTreeSet<String> {
    let command = Cli::command();
    let words: BTreeSet<String> =
        arguments.iter().skip(1).filter_map(|argument| argument.to_str().map(str::to_owned)).collect();
    let chosen = command.get_subcommands().find(|own| words.contains(own.get_name()));
    let own = chosen.into_iter().flat_map(|chosen| chosen.get_arguments());
    own.chain(command.get_arguments()).filter_map(|argument| argument.get_long().map(str::to_owned)).collect()
}

fn list(known: &BTreeSet<String>) -> String {
    known.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn entries_become_flags_and_the_command_line_wins() {
        let line = arguments("trireme server --config=f --service-cidr=10.0.0.0/16");
        let text =
            "service-cidr: 10.96.0.0/12\ncomponents: [api]\nmax-requests-inflight: 7\nrequest-timeout: 30s\n";
        let wanted = ["--components=api", "--max-requests-inflight=7", "--request-timeout=30s"];
        assert_eq!(flags(&line, text).unwrap(), wanted);
        assert_eq!(flags(&line, "").unwrap(), Vec::<String>::new());
        for (bad, why) in [
            ("nonsense: 1", "is no flag of this command"),
            ("- a", "must be a mapping"),
            ("components: {a: b}", "a plain value is needed"),
            ("config: other", "is no flag"),
        ] {
            let error = format!("{:#}", flags(&line, bad).unwrap_err());
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn the_file_is_found_in_both_ways_of_writing() {
        assert_eq!(named(&arguments("trireme up --config a.yaml")), Some(PathBuf::from("a.yaml")));
        assert_eq!(named(&arguments("trireme up --config=a.yaml")), Some(PathBuf::from("a.yaml")));
        assert_eq!(named(&arguments("trireme up")), None);
    }

    #[test]
    fn expanded_arguments_are_read_as_flags() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("c.yaml");
        std::fs::write(&file, "max-requests-inflight: 7\nlog: debug\n").unwrap();
        let line = arguments(&format!("trireme server --config={}", file.display()));
        let cli = <Cli as clap::Parser>::try_parse_from(expand(line).unwrap()).unwrap();
        let crate::cli::Command::Server(args) = cli.command else { panic!("a server") };
        assert_eq!((args.api.max_requests_inflight, cli.log.as_str()), (7, "debug"));
    }
}
