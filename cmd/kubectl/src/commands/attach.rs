//! `attach`: the streams of a program that runs already.

use std::process::ExitCode;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::AttachParams;
use serde_json::Value;

use super::{exec, pods};
use crate::arguments::Attach;
use crate::error::KubectlError;
use crate::session::Session;
use crate::terminal::RawTerminal;

pub(super) async fn run(session: &Session, attach: &Attach) -> Result<ExitCode, KubectlError> {
    let word = target(&attach.words)?;
    let found = pods::find(session, Some(&word), None).await?;
    let pod = pods::best(&found).ok_or_else(|| KubectlError::usage("no pod was found"))?;
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let phase = pod["status"]["phase"].as_str().unwrap_or_default();
    if ["Succeeded", "Failed"].contains(&phase) {
        return Err(KubectlError::usage(format!(
            "cannot attach a container in a completed pod; current phase is {phase}"
        )));
    }
    let container = attach.container.clone().unwrap_or_else(|| pods::default_container(pod, attach.quiet));
    let has_tty = container_tty(pod, &container)?;
    if attach.tty && !has_tty && !attach.quiet {
        eprintln!("error: Unable to use a TTY - container {container} did not allocate one");
    }
    // A terminal of the container's sends no second stream.
    let raw = if has_tty && attach.stdin { RawTerminal::enter() } else { None };
    if attach.stdin && !attach.quiet {
        eprintln!(
            "All commands and output from this session will be recorded in container logs, including credentials and \
             sensitive information passed through the command prompt."
        );
        eprintln!("If you don't see a command prompt, try pressing enter.");
    }
    let parameters = AttachParams {
        container: Some(container.clone()),
        stdin: attach.stdin,
        stdout: true,
        stderr: !has_tty,
        tty: has_tty,
        ..AttachParams::default()
    };
    let api: Api<Pod> = Api::namespaced(session.rest.client().clone(), &session.namespace);
    let process = api.attach(name, &parameters).await.map_err(|error| exec::refused(&error))?;
    let resumable = raw.is_some() && pod["spec"]["restartPolicy"] == "Always";
    let code = exec::attend(process, raw.is_some()).await;
    drop(raw);
    if resumable && !attach.quiet && code.is_ok() {
        eprintln!(
            "Session ended, resume using 'kubectl attach {name} -c {container} -i -t' command when the pod is running"
        );
    }
    code
}

/// `POD`, `TYPE/NAME`, or `TYPE NAME` as one word.
fn target(words: &[String]) -> Result<String, KubectlError> {
    match words {
        [] => Err(KubectlError::see_help("at least 1 argument is required for attach", "attach")),
        [word] => Ok(word.clone()),
        [kind, name] if !kind.contains('/') && !name.contains('/') => Ok(format!("{kind}/{name}")),
        more => Err(KubectlError::see_help(
            &format!(
                "expected POD, TYPE/NAME, or TYPE NAME, (at most 2 arguments) saw {}: [{}]",
                more.len(),
                more.join(" ")
            ),
            "attach",
        )),
    }
}

/// Whether the container was given a terminal.
fn container_tty(pod: &Value, name: &str) -> Result<bool, KubectlError> {
    let lists = ["containers", "initContainers", "ephemeralContainers"];
    let mut all = lists.iter().flat_map(|list| pod["spec"][*list].as_array().into_iter().flatten());
    let found = all.find(|container| container["name"] == *name);
    let found = found.ok_or_else(|| {
        let pod = pod["metadata"]["name"].as_str().unwrap_or_default();
        KubectlError::usage(format!("container {name} not found in pod {pod}"))
    })?;
    Ok(found["tty"] == true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_attached_to() {
        let read = |text: &str| target(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(read("web").unwrap(), "web");
        assert_eq!(read("deploy web").unwrap(), "deploy/web");
        assert!(read("").unwrap_err().to_string().starts_with("error: at least 1 argument is required"));
        assert!(read("a b c").unwrap_err().to_string().contains("saw 3: [a b c]"));
    }

    #[test]
    fn terminals_of_containers() {
        let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a", "tty": true}],
            "initContainers": [{"name": "i"}]}});
        assert!(container_tty(&pod, "a").unwrap());
        assert!(!container_tty(&pod, "i").unwrap());
        assert_eq!(
            container_tty(&pod, "x").unwrap_err().to_string(),
            "error: container x not found in pod p"
        );
    }
}
