//! `trireme kubectl` against a live server: `session.txt` says what each command prints, and upstream's kubectl, when
//! there is one on PATH, must print the same.

#[path = "../support/mod.rs"]
mod support;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::Cluster;

/// One run and what comes of it.
#[derive(Debug, Default)]
struct Step {
    arguments: Vec<String>,
    input: String,
    editor: Option<String>,
    exit: i32,
    out: String,
    err: String,
}

#[derive(Debug, PartialEq)]
struct Outcome {
    code: i32,
    out: String,
    err: String,
}

/// `> arguments`, `< input`, `editor ...`, `exit N`, `= line of output`, `~ end of output without a line's end`,
/// `e line of errors`; blanks in one argument are written as `_`.
fn parse(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (form, rest) = line.split_once(' ').unwrap_or((line, ""));
        if form == ">" {
            let arguments = rest.split(' ').map(|word| word.replace('_', " ")).collect();
            steps.push(Step { arguments, ..Step::default() });
            continue;
        }
        let step = steps.last_mut().expect("a step comes first");
        match form {
            "<" => step.input += &format!("{rest}\n"),
            "=" => step.out += &format!("{rest}\n"),
            "~" => step.out += rest,
            "e" => step.err += &format!("{rest}\n"),
            "exit" => step.exit = rest.parse().expect("an exit code"),
            "editor" => step.editor = Some(rest.to_owned()),
            other => panic!("not understood: {other:?} in {line:?}"),
        }
    }
    steps
}

fn run(program: &[&str], kubeconfig: &Path, home: &Path, name: &str, step: &Step) -> Outcome {
    let mut child = Command::new(program[0])
        .args(&program[1..])
        .args(step.arguments.iter().map(|word| word.replace("NS", name)))
        .env("KUBECONFIG", kubeconfig)
        .env("HOME", home)
        .env("KUBE_EDITOR", step.editor.as_deref().unwrap_or("false"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("piped");
    // A program that does not read its input closes it; that is no failure of the step.
    let _unread = stdin.write_all(step.input.replace("NS", name).as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(name, "NS");
    Outcome { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
}

/// Since 1.34 a deletion names the namespace; older ones do not.
fn comparable(text: &str) -> String {
    text.replace(" from NS namespace", "").replace("Error: ", "error: ")
}

#[test]
fn commands_print_what_upstreams_print() {
    let folder = tempfile::tempdir().expect("a folder");
    let kubeconfig = folder.path().join("kubeconfig");
    let flag = format!("--kubeconfig={}", kubeconfig.display());
    let cluster = Cluster::start_at(&folder.path().join("data"), 1, 0, &["--components=api", &flag]);
    let steps = parse(include_str!("session.txt"));
    let ours = [env!("CARGO_BIN_EXE_trireme"), "kubectl"];
    let theirs = upstream();
    if theirs.is_none() {
        println!("SKIPPED: the comparison with upstream's kubectl: none is on PATH");
    }
    let mut failed = Vec::new();
    for step in &steps {
        let outcome = run(&ours, &kubeconfig, folder.path(), "ours", step);
        let recorded = Outcome { code: step.exit, out: step.out.clone(), err: step.err.clone() };
        if outcome != recorded {
            failed.push(format!("{}: {outcome:#?}\n  instead of {recorded:#?}", step.arguments.join(" ")));
        }
        let Some(program) = &theirs else { continue };
        let program = program.display().to_string();
        let other = run(&[&program], &kubeconfig, folder.path(), "them", step);
        let same = outcome.code == other.code
            && comparable(&outcome.out) == comparable(&other.out)
            && comparable(&outcome.err) == comparable(&other.err);
        if !same {
            failed.push(format!("{}: {outcome:#?}\n  but upstream {other:#?}", step.arguments.join(" ")));
        }
    }
    drop(cluster);
    assert!(failed.is_empty(), "{} of {} steps:\n{}", failed.len(), steps.len(), failed.join("\n"));
}

fn upstream() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join("kubectl")).find(|program| program.is_file())
}
