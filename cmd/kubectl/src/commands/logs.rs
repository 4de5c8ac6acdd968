//! `logs`

use futures_util::{AsyncBufReadExt, StreamExt, stream};
use serde_json::Value;
use trireme_client::Ask;

use super::pods;
use crate::arguments::Logs;
use crate::error::KubectlError;
use crate::output::bytes;
use crate::session::Session;

struct One {
    path: String,
    query: Vec<(&'static str, String)>,
    prefix: String,
}

pub(super) async fn run(session: &Session, logs: &Logs) -> Result<(), KubectlError> {
    if logs.since.is_some() && logs.since_time.is_some() {
        return Err(KubectlError::usage("at most one of `sinceTime` or `sinceSeconds` may be specified"));
    }
    if logs.tail.is_some_and(|lines| lines < -1) {
        return Err(KubectlError::usage("--tail must be greater than or equal to -1"));
    }
    if logs.target.is_none() && logs.selector.is_none() {
        return Err(KubectlError::see_help(
            "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is a required argument for the logs command",
            "logs",
        ));
    }
    if logs.target.is_some() && logs.selector.is_some() {
        return Err(KubectlError::usage("only a selector (-l) or a POD name is allowed"));
    }
    if logs.container.is_some() && logs.all_containers {
        return Err(KubectlError::usage("--all-containers=true should not be specified with container name"));
    }
    let found = pods::find(session, logs.target.as_deref(), logs.selector.as_deref()).await?;
    let found: Vec<Value> =
        if logs.selector.is_some() || logs.all_pods { found } else { found.into_iter().take(1).collect() };
    let sources: Vec<One> = found.iter().flat_map(|pod| sources(session, logs, pod)).collect();
    if logs.follow && sources.len() > logs.max_log_requests {
        return Err(KubectlError::usage(format!(
            "you are attempting to follow {} log streams, but maximum allowed concurrency is {}, use --max-log-requests to increase the limit",
            sources.len(),
            logs.max_log_requests
        )));
    }
    let at_once = if logs.follow { logs.max_log_requests.max(1) } else { 1 };
    let mut results = stream::iter(sources.iter().map(|one| print(session, one))).buffered(at_once);
    while let Some(result) = results.next().await {
        match result {
            Err(error) if logs.ignore_errors && !matches!(error, KubectlError::Closed) => {
                eprintln!("{error}")
            }
            other => other?,
        }
    }
    Ok(())
}

fn sources(session: &Session, logs: &Logs, pod: &Value) -> Vec<One> {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let named = logs.container.clone().or_else(|| logs.second.clone());
    let containers = match named {
        Some(container) => vec![container],
        None if logs.all_containers => {
            let lists = ["initContainers", "containers", "ephemeralContainers"];
            lists.iter().flat_map(|list| pods::containers(pod, list)).map(str::to_owned).collect()
        }
        None => vec![pods::default_container(pod, false)],
    };
    // A selector shows the end only, unless told otherwise.
    let tail = logs.tail.or(logs.selector.is_some().then_some(10)).filter(|lines| *lines >= 0);
    let one = |container: String| {
        let mut query = vec![("container", container.clone())];
        query.extend(logs.follow.then(|| ("follow", "true".to_owned())));
        query.extend(logs.previous.then(|| ("previous", "true".to_owned())));
        query.extend(logs.timestamps.then(|| ("timestamps", "true".to_owned())));
        query.extend(tail.map(|lines| ("tailLines", lines.to_string())));
        query.extend(logs.limit_bytes.map(|bytes| ("limitBytes", bytes.to_string())));
        query.extend(logs.since_time.clone().map(|time| ("sinceTime", time)));
        query.extend(logs.since.map(|since| ("sinceSeconds", since.as_secs().max(1).to_string())));
        let prefix =
            if logs.prefix || logs.all_pods { format!("[pod/{name}/{container}] ") } else { String::new() };
        One { path: format!("/api/v1/namespaces/{}/pods/{name}/log", session.namespace), query, prefix }
    };
    containers.into_iter().map(one).collect()
}

async fn print(session: &Session, one: &One) -> Result<(), KubectlError> {
    let query: Vec<(&str, &str)> = one.query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut lines =
        session.rest.stream(&Ask::get(&one.path).with(&query).accepting("text/plain, */*")).await?;
    loop {
        let mut line = Vec::new();
        let read = lines.read_until(b'\n', &mut line).await;
        if read.map_err(|error| KubectlError::Io(format!("the log broke off: {error}")))? == 0 {
            return Ok(());
        }
        bytes(&[one.prefix.as_bytes(), &line].concat())?;
    }
}
