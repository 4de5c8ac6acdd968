//! The beginning of a watch: what is there, what happened since, and then its feed.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use trireme_http::{FrameReceiver, frame_channel};
use trireme_mvcc::watch::{Batch, Cursor, Filter, ReadLimits, WatchRequest};
use trireme_mvcc::{Key, Revision};
use trireme_schema::field::{ErrorList, Path};
use trireme_schema::resource_version::Wanted;
use trireme_schema::status::{Failure, Status};

use super::event::SharedEvent;
use super::feed::Attach;
use super::hub::Hub;
use super::shape::EventShape;
use super::watcher::Watcher;
use crate::failures::store_failure;
use crate::features::Feature;
use crate::limits::{BOOKMARK_BEFORE_END, BOOKMARK_INTERVAL, FUTURE_WAIT, WATCH_FRAMES, WATCH_LIFE};
use crate::outcome::{Items, ListContent};
use crate::records::Record;
use crate::scope::Scope;
use crate::selectable::Selection;
use crate::server::Server;
use crate::verbs::{ListOptions, read_list};

/// The annotation of the bookmark that ends the initial events.
const INITIAL_END: &str = "k8s.io/initial-events-end";

/// Opens a watch. The first frames may be on their way when this returns.
pub(crate) async fn watch(
    server: &Server,
    scope: &Scope,
    shape: EventShape,
    bookmark_type: (String, String),
) -> Result<FrameReceiver, Failure> {
    let options = ListOptions::parse(&scope.query, true)?;
    if options.send_initial_events.is_some() && !server.config.features.is_on(Feature::WatchList) {
        return Err(no_initial_events());
    }
    let selection = Selection::parse(&scope.kind, &options.label_selector, &options.field_selector)?;
    let open = server.hub.open().ok_or_else(|| {
        Status::too_many_requests("too many watches are open on this server; try another or later", 1)
    })?;
    let start = start(server, scope, &options).await?;
    let (sender, receiver) = frame_channel(WATCH_FRAMES);
    let now = Instant::now();
    let life = options.timeout_seconds.map_or_else(
        || WATCH_LIFE + WATCH_LIFE.mul_f64(fraction((server.config.random)())),
        Duration::from_secs,
    );
    let deadline = now + life;
    let first_bookmark = (now + BOOKMARK_INTERVAL).min(deadline - BOOKMARK_BEFORE_END.min(life));
    let watcher = Watcher {
        resource: scope.kind.storage.clone(),
        namespace: scope.namespace().to_owned(),
        selection,
        shape,
        sender,
        position: Revision::ZERO,
        first: true,
        deadline,
        bookmark_at: options.bookmarks.then_some(first_bookmark),
        bookmark_type,
        bookmarked: Revision::ZERO,
        _open: open,
    };
    let marks_end = options.send_initial_events == Some(true) && options.bookmarks;
    // The seat is given back once the watch has caught up.
    let seat = scope.seat.lock().take();
    let hub = server.hub.clone();
    tokio::spawn(async move {
        begin(hub, watcher, start, marks_end).await;
        drop(seat);
    });
    Ok(receiver)
}

/// 422: the feature is switched off.
fn no_initial_events() -> Failure {
    let mut errors = ErrorList::new();
    let why = "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";
    errors.forbidden(&Path::new("sendInitialEvents"), why);
    Status::invalid("meta.k8s.io", "ListOptions", "", &errors)
}

/// Where a watch begins.
enum Start {
    /// With what is there.
    State(Revision, Vec<Record>),
    /// Behind a revision.
    After(Revision),
}

async fn start(server: &Server, scope: &Scope, options: &ListOptions) -> Result<Start, Failure> {
    let records = &server.records;
    let fail = |error| store_failure(&error);
    let initial = options.send_initial_events;
    let at = match options.resource_version {
        Some(Wanted::At(at)) => Some(Revision::new(at)),
        Some(Wanted::Any | Wanted::Newest) | None => None,
    };
    if let Some(at) = at {
        records.wait_revision(at, FUTURE_WAIT).await.map_err(fail)?;
        if initial != Some(true) {
            return Ok(Start::After(at));
        }
    } else if options.resource_version.is_none() {
        records.settle().await.map_err(fail)?;
    }
    if initial == Some(false) {
        let now = records.read_local(trireme_mvcc::State::revision).unwrap_or_default();
        return Ok(Start::After(now));
    }
    let whole = ListOptions {
        resource_version: Some(Wanted::Any),
        version_match: String::new(),
        limit: 0,
        continue_token: String::new(),
        ..options.clone()
    };
    let ListContent { items, revision, .. } = read_list(server, scope, &whole).await?;
    match items {
        Items::Stored(found) => Ok(Start::State(revision, found)),
        Items::Objects(_) => Ok(Start::State(revision, Vec::new())),
    }
}

/// Sends the beginning at the client's pace, then hands the watch to its feed.
async fn begin(hub: Hub, mut watcher: Watcher, start: Start, marks_end: bool) {
    let ended = hub.draining.clone();
    let deadline = watcher.deadline;
    let opening = async {
        let started = match start {
            Start::State(revision, found) => initial(&hub, &mut watcher, revision, found, marks_end).await,
            Start::After(revision) => {
                watcher.position = revision;
                watcher.bookmarked = revision;
                true
            }
        };
        if started && catch_up(&hub, &mut watcher).await {
            hub.attach(Attach { watcher }).await;
        }
    };
    tokio::select! {
        () = opening => {}
        () = tokio::time::sleep_until(deadline) => {}
        () = ended.cancelled() => {}
    }
}

async fn initial(
    hub: &Hub,
    watcher: &mut Watcher,
    revision: Revision,
    found: Vec<Record>,
    marks_end: bool,
) -> bool {
    for record in found {
        let event = SharedEvent::initial(record);
        if let Some(frame) = watcher.initial_frame(&event, &hub.records)
            && watcher.sender.send(frame).await.is_err()
        {
            return false;
        }
    }
    watcher.position = revision;
    watcher.bookmarked = revision;
    if marks_end {
        let frame = watcher.bookmark_frame(revision, Some(INITIAL_END));
        return watcher.sender.send(frame).await.is_ok();
    }
    true
}

/// Reads the history from the watcher's position to the present.
async fn catch_up(hub: &Hub, watcher: &mut Watcher) -> bool {
    loop {
        let request = WatchRequest {
            filter: Filter::Prefix(Key::from(watcher.resource.prefix(&watcher.namespace).as_str())),
            after: watcher.position,
            previous: true,
            bookmarks: false,
        };
        let mut batch = Batch::default();
        let read = hub
            .records
            .read_local(|state| Cursor::new(state, request)?.read(state, ReadLimits::default(), &mut batch));
        match read {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                let status = Status::expired(format!("too old resource version: {error}")).to_value();
                return send_error(watcher, &status).await;
            }
            None => return false,
        }
        for change in &batch.events {
            let Ok(event) = SharedEvent::of(change) else {
                let status = Status::internal("a change cannot be read; list again").to_value();
                return send_error(watcher, &status).await;
            };
            if let Some(frame) = watcher.frame(&event, &hub.records)
                && watcher.sender.send(frame).await.is_err()
            {
                return false;
            }
        }
        watcher.position = watcher.position.max(batch.through);
        if !batch.more {
            return true;
        }
    }
}

async fn send_error(watcher: &Watcher, status: &Value) -> bool {
    // Gone or not, the watch is over.
    drop(watcher.sender.send(watcher.error_frame(status)).await);
    false
}

/// A random number as a part of one.
fn fraction(random: u64) -> f64 {
    f64::from(u32::try_from(random >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}
