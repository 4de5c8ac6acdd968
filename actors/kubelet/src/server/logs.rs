//! `/containerLogs/<namespace>/<pod>/<container>`: a container's log as kubectl asks for it.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::{Response, StatusCode};
use tokio::io::{AsyncBufReadExt, AsyncSeekExt, BufReader};
use tokio::sync::mpsc;
use trireme_kubelet_core::pod;
use trireme_node::{ContainerState, ContainerStatus};
use trireme_schema::time::Moment;
use trireme_schema::view::View;

use super::{Body, Query, find_pod, stream_body, text};
use crate::clock::moment_now;
use crate::shared::Shared;

/// How often a followed log is looked at.
const FOLLOW_EVERY: Duration = Duration::from_millis(100);
/// Looks between two questions whether the container still runs.
const LOOKS_PER_QUESTION: u32 = 10;
/// Pieces on their way to the client.
const PIECES_AHEAD: usize = 64;
/// Lines held to find the last ones.
const TAIL_LIMIT_LINES: u64 = 1_000_000;
/// Longest line that is read; the runtime splits far below it.
const LINE_LIMIT_BYTES: usize = 1 << 20;

#[derive(Clone, Debug)]
struct Options {
    follow: bool,
    timestamps: bool,
    tail: Option<u64>,
    since: Option<Moment>,
    limit_bytes: Option<u64>,
    stream: String,
}

/// The answer.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    namespace: &str,
    name: &str,
    container: &str,
    query: &Query,
) -> Response<Body> {
    let Some(entry) = find_pod(shared, namespace, name) else {
        return text(StatusCode::NOT_FOUND, &format!("pod {name:?} not found"));
    };
    if pod::container(&entry.pod, container).is_none() {
        let why = format!("container {container:?} not found in pod {name:?}");
        return text(StatusCode::NOT_FOUND, &why);
    }
    let options = match options(query) {
        Ok(options) => options,
        Err(why) => return text(StatusCode::BAD_REQUEST, &why),
    };
    let previous = query.is_true("previous");
    let snapshot = match shared.lister.snapshot().await {
        Ok(snapshot) => snapshot,
        Err(error) => return text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    };
    let mut own: Vec<ContainerStatus> = snapshot
        .of_pod(pod::uid(&entry.pod))
        .containers
        .into_iter()
        .filter(|own| own.config.name == container && own.state != ContainerState::Created)
        .collect();
    own.sort_by_key(|own| std::cmp::Reverse((own.config.attempt, own.created_at)));
    let chosen = match previous {
        true => own
            .iter()
            .skip(usize::from(own.first().is_some_and(|own| own.state == ContainerState::Running)))
            .find(|own| own.state == ContainerState::Exited)
            .filter(|chosen| {
                // The last end of a container that does not run is its log, not its previous one.
                own.len() > 1
                    || chosen.config.attempt > 0
                    || waiting_reason(&entry.with_status(), container).is_some()
            }),
        false => own.first(),
    };
    match chosen {
        Some(status) => {
            let log = log_path(shared, &entry.pod, status);
            serve(shared, log, status.clone(), options)
        }
        None if previous => {
            let why = format!("previous terminated container {container:?} in pod {name:?} not found");
            text(StatusCode::BAD_REQUEST, &why)
        }
        None => {
            let reason =
                waiting_reason(&entry.with_status(), container).unwrap_or_else(|| "ContainerCreating".into());
            let why = match reason.as_str() {
                "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
                    format!(
                        "container {container:?} in pod {name:?} is waiting to start: trying and failing to pull image"
                    )
                }
                reason => format!("container {container:?} in pod {name:?} is waiting to start: {reason}"),
            };
            text(StatusCode::BAD_REQUEST, &why)
        }
    }
}

fn waiting_reason(pod: &serde_json::Value, container: &str) -> Option<String> {
    let lists = ["initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"];
    let mut all = lists.iter().flat_map(|list| pod.at("status").list(list));
    let status = all.find(|own| own.text("name") == container)?;
    let reason = status.at("state").at("waiting").text("reason");
    (!reason.is_empty()).then(|| reason.to_owned())
}

fn log_path(shared: &Shared, pod: &serde_json::Value, status: &ContainerStatus) -> PathBuf {
    if !status.log_path.is_empty() {
        return PathBuf::from(&status.log_path);
    }
    let folder = trireme_kubelet_core::translate::log_directory(pod, &shared.facts().logs_folder);
    Path::new(&folder).join(&status.config.log_path)
}

fn options(query: &Query) -> Result<Options, String> {
    let number = |name: &str| match query.text(name) {
        "" => Ok(None),
        text => text.parse::<u64>().map(Some).map_err(|_| format!("{name}: {text:?} is no number from 0")),
    };
    let since = match (query.text("sinceTime"), number("sinceSeconds")?) {
        ("", None) => None,
        ("", Some(seconds)) => {
            let now = moment_now();
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            Some(Moment::from_unix(now.unix_seconds().saturating_sub(seconds), now.nanos()))
        }
        (time, _) => Some(Moment::parse_time(time).map_err(|error| error.to_string())?),
    };
    Ok(Options {
        follow: query.is_true("follow"),
        timestamps: query.is_true("timestamps"),
        tail: number("tailLines")?,
        since,
        limit_bytes: number("limitBytes")?,
        stream: query.text("stream").to_lowercase(),
    })
}

fn serve(shared: &Arc<Shared>, path: PathBuf, status: ContainerStatus, options: Options) -> Response<Body> {
    let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let mut sink = Sink { sender, left: options.limit_bytes };
        if let Err(error) = copy(&shared, &path, &status, &options, &mut sink).await {
            let _ =
                sink.send(Bytes::from(format!("failed to read the log {}: {error}\n", path.display()))).await;
        }
    });
    let pieces = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    });
    let mut response = Response::new(stream_body(pieces.boxed()));
    let plain = http::HeaderValue::from_static("text/plain");
    response.headers_mut().insert(http::header::CONTENT_TYPE, plain);
    response
}

/// To the client, up to its limit.
struct Sink {
    sender: mpsc::Sender<Bytes>,
    left: Option<u64>,
}

impl Sink {
    /// False when the client has enough or is gone.
    async fn send(&mut self, mut bytes: Bytes) -> bool {
        if let Some(left) = &mut self.left {
            let fits = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
            bytes.truncate(fits);
            *left -= u64::try_from(fits).unwrap_or(0);
        }
        if !bytes.is_empty() && self.sender.send(bytes).await.is_err() {
            return false;
        }
        self.left != Some(0)
    }
}

async fn copy(
    shared: &Shared,
    path: &Path,
    status: &ContainerStatus,
    options: &Options,
    sink: &mut Sink,
) -> std::io::Result<()> {
    let mut file = BufReader::new(tokio::fs::File::open(path).await?);
    if let Some(lines) = options.tail {
        seek_tail(&mut file, lines, &options.stream).await?;
    }
    let mut line = Vec::new();
    let mut looks = 0_u32;
    let mut over = false;
    loop {
        let read = file.read_until(b'\n', &mut line).await?;
        if read > 0 && (line.ends_with(b"\n") || line.len() > LINE_LIMIT_BYTES) {
            if let Some(shown) = render(&line, options)
                && !sink.send(shown).await
            {
                return Ok(());
            }
            line.clear();
            continue;
        }
        // The end for now; half a line waits for its other half.
        if !options.follow || over {
            return Ok(());
        }
        if sink.sender.is_closed() {
            return Ok(());
        }
        looks += 1;
        if looks.is_multiple_of(LOOKS_PER_QUESTION) {
            // What was written before the container ended is still read once.
            over = !is_running(shared, status).await;
        }
        if is_rotated(path, &file).await
            && let Ok(next) = tokio::fs::File::open(path).await
        {
            file = BufReader::new(next);
            line.clear();
            continue;
        }
        tokio::time::sleep(FOLLOW_EVERY).await;
    }
}

async fn is_running(shared: &Shared, status: &ContainerStatus) -> bool {
    let now = shared.runtime.container(&status.id).await;
    now.is_ok_and(|now| now.state == ContainerState::Running)
}

/// Another file stands at the path, or the file was cut.
async fn is_rotated(path: &Path, file: &BufReader<tokio::fs::File>) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (Ok(there), Ok(here)) = (tokio::fs::metadata(path).await, file.get_ref().metadata().await) else {
        return false;
    };
    there.ino() != here.ino()
}

/// Puts the reader in front of the last `lines` lines.
async fn seek_tail(file: &mut BufReader<tokio::fs::File>, lines: u64, stream: &str) -> std::io::Result<()> {
    let wanted = usize::try_from(lines.min(TAIL_LIMIT_LINES)).unwrap_or(usize::MAX);
    let mut starts: VecDeque<u64> = VecDeque::new();
    let (mut at, mut line) = (0_u64, Vec::new());
    loop {
        line.clear();
        let read = file.read_until(b'\n', &mut line).await?;
        if read == 0 {
            break;
        }
        if is_of_stream(&line, stream) {
            starts.push_back(at);
        }
        if starts.len() > wanted {
            starts.pop_front();
        }
        at += u64::try_from(read).unwrap_or(0);
    }
    let from = if wanted == 0 { at } else { starts.front().copied().unwrap_or(at) };
    file.seek(std::io::SeekFrom::Start(from)).await.map(drop)
}

fn is_of_stream(line: &[u8], stream: &str) -> bool {
    let own = line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    !matches!(stream, "stdout" | "stderr") || own == stream.as_bytes()
}

/// A line as the client sees it; `None` when it is left out.
fn render(line: &[u8], options: &Options) -> Option<Bytes> {
    let mut parts = line.splitn(4, |byte| *byte == b' ');
    let (stamp, _stream, tag) = (parts.next()?, parts.next()?, parts.next()?);
    let content = parts.next().unwrap_or(b"\n");
    if !is_of_stream(line, &options.stream) {
        return None;
    }
    let stamp = std::str::from_utf8(stamp).ok()?;
    if let Some(since) = options.since {
        let at = Moment::parse_micro_time(stamp).or_else(|_| Moment::parse_time(stamp)).ok()?;
        if at < since {
            return None;
        }
    }
    let mut shown = Vec::with_capacity(line.len());
    if options.timestamps {
        shown.extend_from_slice(stamp.as_bytes());
        shown.push(b' ');
    }
    // A part of a line has no end of its own.
    let content = if tag == b"P" { content.strip_suffix(b"\n").unwrap_or(content) } else { content };
    shown.extend_from_slice(content);
    Some(Bytes::from(shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lose_their_stamps_and_parts_join() {
        let options = |query: &str| options(&Query::read(query)).unwrap();
        let line = b"2026-11-20T17:00:00.123456789Z stdout F hello world\n";
        assert_eq!(render(line, &options("")).unwrap(), "hello world\n");
        let part = b"2026-11-20T17:00:00.123456789Z stdout P hello \n";
        assert_eq!(render(part, &options("")).unwrap(), "hello ");
        let stamped = render(line, &options("timestamps=true")).unwrap();
        assert_eq!(stamped, "2026-11-20T17:00:00.123456789Z hello world\n");
        assert_eq!(render(line, &options("sinceTime=2026-11-20T18:00:00Z")), None);
        assert!(render(line, &options("sinceTime=2026-11-20T16:00:00Z")).is_some());
        assert_eq!(render(line, &options("stream=Stderr")), None);
    }

    #[tokio::test]
    async fn the_tail_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("l");
        let text: String = (0..10).map(|at| format!("2026-11-20T17:00:00Z stdout F {at}\n")).collect();
        std::fs::write(&path, text).unwrap();
        let mut file = BufReader::new(tokio::fs::File::open(&path).await.unwrap());
        seek_tail(&mut file, 2, "").await.unwrap();
        let mut line = String::new();
        file.read_line(&mut line).await.unwrap();
        assert!(line.ends_with(" 8\n"), "{line}");
    }
}
