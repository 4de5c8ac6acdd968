//! `exec`: a program in a container.

use std::process::ExitCode;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{AttachParams, AttachedProcess, TerminalSize};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, stderr, stdin, stdout};

use super::pods;
use crate::arguments::Exec;
use crate::error::KubectlError;
use crate::session::Session;
use crate::terminal::RawTerminal;

pub(super) async fn run(session: &Session, exec: &Exec) -> Result<ExitCode, KubectlError> {
    let [target, more @ ..] = exec.words.as_slice() else {
        return Err(KubectlError::usage("pod, type/name or --filename must be specified"));
    };
    if !more.is_empty() {
        let text = "exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead";
        return Err(KubectlError::see_help(text, "exec"));
    }
    if exec.command.is_empty() {
        return Err(KubectlError::usage("you must specify at least one command for the container"));
    }
    let found = pods::find(session, Some(target), None).await?;
    let pod = found.first().ok_or_else(|| KubectlError::usage("no pod was found"))?;
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let container = exec.container.clone().unwrap_or_else(|| pods::default_container(pod, exec.quiet));
    let raw = if exec.tty && exec.stdin { RawTerminal::enter() } else { None };
    if exec.tty && raw.is_none() && !exec.quiet {
        eprintln!("Unable to use a TTY - input is not a terminal or the right kind of file");
    }
    let tty = raw.is_some();
    let parameters = AttachParams {
        container: Some(container),
        stdin: exec.stdin,
        stdout: true,
        stderr: !tty,
        tty,
        ..AttachParams::default()
    };
    let api: Api<Pod> = Api::namespaced(session.rest.client().clone(), &session.namespace);
    let process = api.exec(name, exec.command.clone(), &parameters).await;
    let process = process.map_err(|error| refused(&error))?;
    let code = attend(process, tty).await;
    drop(raw);
    code
}

pub(super) fn refused(error: &kube::Error) -> KubectlError {
    match error {
        kube::Error::Api(status) => {
            KubectlError::Io(format!("Error from server ({}): {}", status.reason, status.message))
        }
        other => KubectlError::Io(format!("unable to upgrade connection: {other}")),
    }
}

/// Carries streams until the program ends; gives its exit code.
pub(super) async fn attend(mut process: AttachedProcess, tty: bool) -> Result<ExitCode, KubectlError> {
    if let Some(mut input) = process.stdin() {
        // Reads of a terminal cannot be taken back: the task ends with the process.
        tokio::spawn(async move {
            let mut from = stdin();
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(read) = from.read(&mut buffer).await {
                if read == 0 || input.write_all(&buffer[..read]).await.is_err() {
                    break;
                }
            }
            let _ = input.shutdown().await;
        });
    }
    if tty && let Some(mut sizes) = process.terminal_size() {
        tokio::spawn(async move {
            use futures_util::SinkExt;
            let mut changes = crate::terminal::sizes();
            while let Some((width, height)) = changes.recv().await {
                if sizes.send(TerminalSize { width, height }).await.is_err() {
                    break;
                }
            }
        });
    }
    let output = process.stdout();
    let errors = process.stderr();
    let carry_output = async {
        if let Some(mut from) = output {
            let mut to = stdout();
            let _ = copy(&mut from, &mut to).await;
            let _ = to.flush().await;
        }
    };
    let carry_errors = async {
        if let Some(mut from) = errors {
            let mut to = stderr();
            let _ = copy(&mut from, &mut to).await;
            let _ = to.flush().await;
        }
    };
    let status = process.take_status();
    tokio::join!(carry_output, carry_errors);
    let Some(status) = (match status {
        Some(status) => status.await,
        None => None,
    }) else {
        return Err(KubectlError::Io("the connection broke before the program's end was told".to_owned()));
    };
    if status.status.as_deref() == Some("Success") {
        return Ok(ExitCode::SUCCESS);
    }
    let causes = status.details.and_then(|details| details.causes).unwrap_or_default();
    let code: Option<i64> = causes
        .iter()
        .find(|cause| cause.reason.as_deref() == Some("ExitCode"))
        .and_then(|cause| cause.message.as_ref()?.parse().ok());
    match code {
        Some(code) => {
            eprintln!("command terminated with exit code {code}");
            Ok(ExitCode::from(u8::try_from(code & 0xff).unwrap_or(1)))
        }
        None => {
            Err(KubectlError::Io(status.message.unwrap_or_else(|| "the program could not be run".to_owned())))
        }
    }
}
