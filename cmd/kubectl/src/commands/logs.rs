//! `logs`

use futures_util::{AsyncBufReadExt, StreamExt, stream};
use serde_json::Value;
use trireme_client::Ask;

use super::get::write;
use super::pods;
use crate::arguments::Logs;
use crate::error::KubectlError;
use crate::session::Session;

/// Most logs followed at the same time, as upstream's default.
const FOLLOWED: usize = 5;

struct One {
    path: String,
    query: Vec<(&'static str, String)>,
    prefix: String,
}

pub(super) async fn run(session: &Session, logs: &Logs) -> Result<(), KubectlError> {
    let found = pods::find(session, logs.target.as_deref(), logs.selector.as_deref()).await?;
    let found: Vec<Value> = if logs.selector.is_some() { found } else { found.into_iter().take(1).collect() };
    let sources: Vec<One> = found.iter().flat_map(|pod| sources(session, logs, pod)).collect();
    if logs.follow && sources.len() > FOLLOWED {
        return Err(KubectlError::usage(format!(
            "you are attempting to follow {} log streams, but maximum allowed concurrency is {FOLLOWED}",
            sources.len()
        )));
    }
    let at_once = if logs.follow { FOLLOWED } else { 1 };
    let mut results = stream::iter(sources.iter().map(|one| print(session, one))).buffered(at_once);
    while let Some(result) = results.next().await {
        result?;
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
        let since = logs.since.as_deref().and_then(|text| super::duration(text).ok());
        query.extend(since.map(|since| ("sinceSeconds", since.as_secs().max(1).to_string())));
        let prefix = if logs.prefix { format!("[pod/{name}/{container}] ") } else { String::new() };
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
        write(&format!("{}{}", one.prefix, String::from_utf8_lossy(&line)))?;
    }
}
