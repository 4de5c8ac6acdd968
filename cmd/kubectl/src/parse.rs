//! From words to [`Kubectl`]; what cannot be understood is said in upstream's words.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, Command, CommandFactory, FromArgMatches};

use crate::arguments::{BadFlag, BadValue, Kubectl};

/// Why there is nothing to run.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Help was asked for.
    Help(String),
    /// The complaint.
    Wrong(String),
}

/// Reads the words after `kubectl`.
pub(crate) fn parse(arguments: Vec<String>) -> Result<Kubectl, Refused> {
    let mut command = Kubectl::command();
    command.build();
    let words = plain_switches(&command, arguments);
    let named = std::iter::once("kubectl".to_owned()).chain(words.iter().cloned());
    let path = path(&command, &words);
    match command.try_get_matches_from_mut(named) {
        Ok(matches) => Kubectl::from_arg_matches(&matches).map_err(|error| refused(&error, &path)),
        Err(error) => Err(refused(&error, &path)),
    }
}

/// Upstream's switches may be given a value: `--force=true` is `--force`, `--force=false` is nothing.
fn plain_switches(command: &Command, words: Vec<String>) -> Vec<String> {
    let mut here = command;
    let mut out = Vec::with_capacity(words.len());
    let mut words = words.into_iter();
    for word in words.by_ref() {
        if word == "--" {
            out.push(word);
            break;
        }
        if let Some(next) = here.find_subcommand(&word) {
            here = next;
        }
        let switch = word.strip_prefix("--").and_then(|flag| flag.split_once('='));
        if let Some((name, value)) = switch
            && here
                .get_arguments()
                .any(|arg| arg.get_long() == Some(name) && matches!(arg.get_action(), ArgAction::SetTrue))
        {
            match value {
                "true" => {
                    out.push(format!("--{name}"));
                    continue;
                }
                "false" => continue,
                _ => {}
            }
        }
        out.push(word);
    }
    out.extend(words);
    out
}

/// The command that words lead to: `kubectl rollout status`.
fn path(command: &Command, words: &[String]) -> String {
    let mut here = command;
    let mut path = "kubectl".to_owned();
    for word in words.iter().take_while(|word| *word != "--") {
        if let Some(next) = here.find_subcommand(word) {
            here = next;
            path = format!("{path} {}", next.get_name());
        }
    }
    path
}

fn refused(error: &clap::Error, path: &str) -> Refused {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        _ => String::new(),
    };
    let see = format!("\nSee '{path} --help' for usage.");
    Refused::Wrong(match error.kind() {
        ErrorKind::DisplayHelp => return Refused::Help(error.to_string()),
        // Help that nobody asked for: part of the command is missing.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            return Refused::Help(error.to_string());
        }
        ErrorKind::InvalidSubcommand => {
            let word = context(ContextKind::InvalidSubcommand);
            format!("error: unknown command \"{word}\" for \"{path}\"{}", suggestions(&word, path))
        }
        ErrorKind::UnknownArgument => {
            let flag = context(ContextKind::InvalidArg);
            match flag.strip_prefix('-') {
                None => format!("error: unexpected argument \"{flag}\"{see}"),
                Some(short) if !short.starts_with('-') => {
                    let letter = short.chars().next().unwrap_or_default();
                    format!("error: unknown shorthand flag: '{letter}' in {flag}{see}")
                }
                Some(_) => {
                    format!("error: unknown flag: {}{see}", flag.split('=').next().unwrap_or_default())
                }
            }
        }
        ErrorKind::MissingRequiredArgument => missing(&context(ContextKind::InvalidArg), path),
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => invalid(error, &context, &see),
        ErrorKind::TooManyValues
        | ErrorKind::WrongNumberOfValues
        | ErrorKind::TooFewValues
        | ErrorKind::NoEquals => {
            format!("error: flag needs an argument: {}{see}", flag_name(&context(ContextKind::InvalidArg)))
        }
        _ => error.to_string().trim_end().to_owned(),
    })
}

fn invalid(error: &clap::Error, context: &dyn Fn(ContextKind) -> String, see: &str) -> String {
    let (value, flag) = (context(ContextKind::InvalidValue), context(ContextKind::InvalidArg));
    let flag = flag_name(&flag);
    let source = std::error::Error::source(error);
    if let Some(whole) = source.and_then(|source| source.downcast_ref::<BadValue>()) {
        return format!("error: {whole}");
    }
    if value.is_empty() {
        return format!("error: flag needs an argument: {flag}{see}");
    }
    let why = match source {
        Some(source) if source.is::<BadFlag>() => source.to_string(),
        Some(source) if source.is::<std::num::ParseIntError>() => {
            format!("strconv.ParseInt: parsing \"{value}\": invalid syntax")
        }
        Some(source) => source.to_string(),
        None => "this value is not known".to_owned(),
    };
    format!("error: invalid argument \"{value}\" for \"{flag}\" flag: {why}{see}")
}

/// Upstream distinguishes flags that must be there from words.
fn missing(names: &str, path: &str) -> String {
    let flags: Vec<String> = names
        .split(", ")
        .filter(|name| name.starts_with('-'))
        .map(|name| format!("\"{}\"", flag_name(name).trim_start_matches('-')))
        .collect();
    if flags.is_empty() {
        let words = names.replace(['<', '>', '[', ']', '.'], "");
        return format!(
            "error: exactly one {words} is required, got 0\nSee '{path} -h' for help and examples"
        );
    }
    format!("error: required flag(s) {} not set", flags.join(", "))
}

/// `--since` of `--since <SINCE>`.
fn flag_name(shown: &str) -> &str {
    shown.split([' ', '[', '=']).next().unwrap_or(shown)
}

/// Upstream names commands that are near: at most two letters to change, or that begin with the word.
fn suggestions(word: &str, path: &str) -> String {
    let mut command = Kubectl::command();
    command.build();
    let mut here = &command;
    for part in path.split(' ').skip(1) {
        here = here.find_subcommand(part).unwrap_or(here);
    }
    let mut near: Vec<&str> = here
        .get_subcommands()
        .map(Command::get_name)
        .filter(|name| distance(word, name) <= 2 || name.to_lowercase().starts_with(&word.to_lowercase()))
        .collect();
    near.sort_unstable();
    if near.is_empty() {
        return String::new();
    }
    let lines: String = near.iter().map(|name| format!("\t{name}\n")).collect();
    format!("\n\nDid you mean this?\n{lines}")
}

/// Levenshtein's distance, letter case aside.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) =
        (a.to_lowercase().chars().collect(), b.to_lowercase().chars().collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(x != y)).min(above + 1).min(row[j] + 1);
            diagonal = above;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(line: &str) -> String {
        match parse(line.split(' ').map(str::to_owned).collect()) {
            Err(Refused::Wrong(text)) => text,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Kubectl::command().debug_assert();
    }

    #[test]
    fn complaints_are_upstreams() {
        for (line, expected) in [
            ("stop", "error: unknown command \"stop\" for \"kubectl\"\n\nDid you mean this?\n\ttop\n"),
            ("gett", "error: unknown command \"gett\" for \"kubectl\"\n\nDid you mean this?\n\tget\n\tset\n"),
            ("nonsense", "error: unknown command \"nonsense\" for \"kubectl\""),
            ("get --foo", "error: unknown flag: --foo\nSee 'kubectl get --help' for usage."),
            ("get -Z", "error: unknown shorthand flag: 'Z' in -Z\nSee 'kubectl get --help' for usage."),
            (
                "apply -f x --dry-run=foo",
                "error: Invalid dry-run value (foo). Must be \"none\", \"server\", or \"client\".",
            ),
            (
                "apply -f x --validate=foo",
                "error: invalid - validate option \"foo\"; must be one of: strict (or true), warn, ignore (or false)",
            ),
            (
                "logs x --since=zz",
                "error: invalid argument \"zz\" for \"--since\" flag: time: invalid duration \"zz\"\nSee 'kubectl logs --help' for usage.",
            ),
            ("scale deploy/x", "error: required flag(s) \"replicas\" not set"),
        ] {
            assert_eq!(complaint(line), expected, "{line}");
        }
        assert!(complaint("apply -k x").contains("-k (kustomize) is not built"));
        // What a command cannot heed it does not take.
        for line in [
            "patch pod x -p {} -l a=b",
            "describe pods --field-selector=a=b",
            "scale deploy/x --replicas=1 -A",
            "rollout status deploy/x -A",
        ] {
            assert!(complaint(line).contains("unknown"), "{line}");
        }
    }

    #[test]
    fn switches_take_values() {
        let parsed = parse(
            "delete pod x --force=true --ignore-not-found=false".split(' ').map(str::to_owned).collect(),
        );
        let crate::arguments::Command::Delete(delete) = parsed.unwrap().command else { panic!("no delete") };
        assert!(delete.force && !delete.ignore_not_found);
    }
}
