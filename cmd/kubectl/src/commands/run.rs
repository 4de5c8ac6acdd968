//! `run`: one pod of an image, and on demand its output.

use std::process::ExitCode;
use std::time::Duration;

use http::Method;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::AttachParams;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use super::exec;
use crate::arguments::{DryRun, Run};
use crate::error::KubectlError;
use crate::output::Reporter;
use crate::session::Session;
use crate::terminal::RawTerminal;

/// Pause between two looks at the pod.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

pub(super) async fn run(session: &Session, run: &Run) -> Result<ExitCode, KubectlError> {
    let attached = run.attach.unwrap_or(run.stdin);
    check(run, attached)?;
    let reporter = Reporter::new(&run.writing.printing, run.writing.dry.dry_run)?;
    let pod = pod(run)?;
    let kind = session.catalogue().await?.find("pods")?.clone();
    let collection = Session::collection(&kind, Some(&session.namespace));
    let made = if reporter.dry_run == DryRun::Client {
        pod
    } else {
        session.send(Method::POST, &collection, &pod, &run.writing.query("kubectl-run")).await?
    };
    let name = made["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    if !attached || reporter.dry_run != DryRun::None {
        reporter.report(&kind, made, "created")?;
        return Ok(ExitCode::SUCCESS);
    }
    let path = format!("{collection}/{name}");
    let code = Box::pin(attend(session, run, &path, &name)).await;
    if run.rm {
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions"});
        session.send(Method::DELETE, &path, &options, &[]).await?;
        if !run.quiet {
            crate::output::write(&format!("pod \"{name}\" deleted from {} namespace\n", session.namespace))?;
        }
    }
    code
}

fn check(run: &Run, attached: bool) -> Result<(), KubectlError> {
    if run.words.is_empty() {
        return Err(KubectlError::see_help("NAME is required for run", "run"));
    }
    if run.rm && !attached {
        return Err(KubectlError::see_help("--rm should only be used for attached containers", "run"));
    }
    if run.tty && !run.stdin {
        return Err(KubectlError::usage("-i/--stdin is required for containers with -t/--tty=true"));
    }
    if attached && run.writing.dry.dry_run != DryRun::None {
        return Err(KubectlError::usage("--dry-run=none is required when attaching"));
    }
    if run.rm && run.writing.dry.dry_run != DryRun::None {
        return Err(KubectlError::see_help("--rm should only be used for attached containers", "run"));
    }
    if !["Always", "OnFailure", "Never"].contains(&run.restart.as_str()) {
        return Err(KubectlError::usage(format!("invalid restart policy: {}", run.restart)));
    }
    if !["", "Always", "IfNotPresent", "Never"].contains(&run.image_pull_policy.as_str()) {
        return Err(KubectlError::usage(format!("invalid image pull policy: {}", run.image_pull_policy)));
    }
    Ok(())
}

/// The pod that the flags describe.
fn pod(run: &Run) -> Result<Value, KubectlError> {
    let name = run.words.first().cloned().unwrap_or_default();
    let arguments: Vec<String> = run.words.iter().skip(1).chain(&run.arguments).cloned().collect();
    let mut container = json!({"name": name, "image": run.image, "resources": {}});
    if !arguments.is_empty() {
        container[if run.command { "command" } else { "args" }] = arguments.into();
    }
    let mut environment = Vec::new();
    for variable in &run.env {
        // The whole text is one variable: commas belong to the value.
        let pair = variable.split_once('=').filter(|(key, _)| !key.is_empty());
        let (key, value) = pair.ok_or_else(|| KubectlError::usage(format!("invalid env: {variable}")))?;
        environment.push(json!({"name": key, "value": value}));
    }
    for (field, value) in [
        ("env", (!environment.is_empty()).then(|| json!(environment))),
        ("ports", run.port.map(|port| json!([{"containerPort": port}]))),
        ("imagePullPolicy", (!run.image_pull_policy.is_empty()).then(|| json!(run.image_pull_policy))),
        ("securityContext", run.privileged.then(|| json!({"privileged": true}))),
        ("stdin", run.stdin.then_some(json!(true))),
        ("stdinOnce", (run.stdin && !run.leave_stdin_open).then_some(json!(true))),
        ("tty", run.tty.then_some(json!(true))),
    ] {
        if let Some(value) = value {
            container[field] = value;
        }
    }
    let labels = match run.labels.as_deref().filter(|labels| !labels.is_empty()) {
        Some(labels) => pairs(labels.split(','))?,
        None => [("run".to_owned(), json!(name))].into_iter().collect(),
    };
    let mut metadata = json!({"name": name, "labels": labels});
    if !run.annotations.is_empty() {
        metadata["annotations"] = Value::Object(pairs(run.annotations.iter().map(String::as_str))?);
    }
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": {},
        "spec": {"containers": [container], "dnsPolicy": "ClusterFirst", "restartPolicy": run.restart}});
    if let Some(overrides) = &run.overrides {
        let patch = trireme_schema::yaml::parse(overrides.as_bytes())
            .map_err(|error| KubectlError::usage(format!("unable to parse --overrides: {error}")))?;
        trireme_schema::patch::apply_merge_patch(&mut pod, &patch.value);
    }
    Ok(pod)
}

fn pairs<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Map<String, Value>, KubectlError> {
    texts
        .map(|text| {
            let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
            let (key, value) =
                pair.ok_or_else(|| KubectlError::usage(format!("unexpected label spec: {text}")))?;
            Ok((key.to_owned(), value.into()))
        })
        .collect()
}

/// Attaches once the container runs; shows the log of one that was faster.
async fn attend(session: &Session, run: &Run, path: &str, name: &str) -> Result<ExitCode, KubectlError> {
    let until = Instant::now().checked_add(run.pod_running_timeout);
    let done = loop {
        let pod = session.rest.json(&trireme_client::Ask::get(path)).await?;
        match pod["status"]["phase"].as_str() {
            Some("Running") => break false,
            Some("Succeeded" | "Failed") => break true,
            _ => {}
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            return Err(KubectlError::usage("timed out waiting for the condition"));
        }
        sleep(LOOK_AGAIN).await;
    };
    if done {
        let log = format!("{path}/log");
        let ask = trireme_client::Ask::get(&log).accepting("text/plain, */*");
        crate::output::bytes(&session.rest.bytes(&ask).await?)?;
    } else {
        let raw = if run.tty { RawTerminal::enter() } else { None };
        let tty = run.tty;
        if !run.quiet && run.stdin {
            eprintln!("If you don't see a command prompt, try pressing enter.");
        }
        let parameters = AttachParams {
            container: Some(name.to_owned()),
            stdin: run.stdin,
            stdout: true,
            stderr: !tty,
            tty,
            ..AttachParams::default()
        };
        let api: Api<Pod> = Api::namespaced(session.rest.client().clone(), &session.namespace);
        let process = api.attach(name, &parameters).await.map_err(|error| exec::refused(&error))?;
        // What the program came to is read from the pod below.
        let _ = exec::attend(process, tty && raw.is_some()).await;
        drop(raw);
    }
    if run.restart == "Always" {
        return Ok(ExitCode::SUCCESS);
    }
    ended(session, path, name).await
}

/// The exit code of the container, once it is told.
async fn ended(session: &Session, path: &str, name: &str) -> Result<ExitCode, KubectlError> {
    loop {
        let pod = session.rest.json(&trireme_client::Ask::get(path)).await?;
        match pod["status"]["phase"].as_str() {
            Some("Succeeded") => return Ok(ExitCode::SUCCESS),
            Some("Failed") => {
                let code = pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"].as_i64();
                let code = code.unwrap_or(1);
                eprintln!("pod {}/{name} terminated (Error)", session.namespace);
                return Ok(ExitCode::from(u8::try_from(code & 0xff).unwrap_or(1)));
            }
            _ => sleep(LOOK_AGAIN).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Command;

    fn made(line: &str) -> Result<Value, KubectlError> {
        let parsed = crate::parse::parse(line.split(' ').map(str::to_owned).collect()).unwrap();
        let Command::Run(run) = parsed.command else { panic!("no run") };
        check(&run, run.attach.unwrap_or(run.stdin))?;
        pod(&run)
    }

    #[test]
    fn variables_are_not_split_at_commas() {
        let pod =
            made("run x --image=i --env=A=1,B=2 --env=C=3 --port=80 --labels=a=b,c=d --command -- sh -c x")
                .unwrap();
        let container = &pod["spec"]["containers"][0];
        assert_eq!(container["env"], json!([{"name": "A", "value": "1,B=2"}, {"name": "C", "value": "3"}]));
        assert_eq!(container["command"], json!(["sh", "-c", "x"]));
        assert_eq!(container["ports"], json!([{"containerPort": 80}]));
        assert_eq!(pod["metadata"]["labels"], json!({"a": "b", "c": "d"}));
        assert_eq!(pod["spec"]["restartPolicy"], "Always");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "run x --image=i --rm",
            "run x --image=i -t",
            "run x --image=i --restart=Sometimes",
            "run x --image=i --env=A",
        ] {
            assert!(made(line).is_err(), "{line}");
        }
        assert_eq!(made("run x --image=i -- a").unwrap()["spec"]["containers"][0]["args"], json!(["a"]));
    }
}
