//! [`ListWatch`]: a resource followed for as long as it is wanted.

use std::time::Duration;

use serde_json::Value;

use crate::error::ClientError;
use crate::rest::{Ask, Rest};
use crate::watch::{EventKind, Watch};

/// Pause before the first retry; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long the server is asked to keep one watch.
const WATCH_SECONDS: &str = "540";

/// What is new.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// All objects, at the start and after the watch fell out of the server's history. What was known and is not among
    /// them is gone.
    All(Vec<Value>),
    /// An object came or changed.
    Is(Value),
    /// An object went; its last form.
    Gone(Value),
}

/// Lists a resource and follows its changes, over breaks and over the end of the server's history.
pub struct ListWatch {
    rest: Rest,
    path: String,
    query: Vec<(String, String)>,
    revision: Option<String>,
    open: Option<Watch>,
    pause: Duration,
}

impl ListWatch {
    /// Of the collection at `path`, with selectors in `query`.
    pub fn new(rest: Rest, path: &str, query: &[(&str, &str)]) -> Self {
        let query = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { rest, path: path.to_owned(), query, revision: None, open: None, pause: FIRST_PAUSE }
    }

    /// The next news. Failures are waited out, with growing pauses.
    ///
    /// # Errors
    /// Only what will not get better by itself: a refusal that is not retryable (403, 404, ...).
    pub async fn next(&mut self) -> Result<Seen, ClientError> {
        loop {
            match self.step().await {
                Ok(Some(seen)) => {
                    self.pause = FIRST_PAUSE;
                    return Ok(seen);
                }
                Ok(None) => {}
                Err(error) => self.recover(error).await?,
            }
        }
    }

    async fn step(&mut self) -> Result<Option<Seen>, ClientError> {
        let Some(revision) = self.revision.clone() else { return self.list().await.map(Some) };
        if self.open.is_none() {
            let mut query = self.selectors();
            query.extend([
                ("resourceVersion", revision.as_str()),
                ("allowWatchBookmarks", "true"),
                ("timeoutSeconds", WATCH_SECONDS),
            ]);
            self.open = Some(self.rest.watch(&Ask::get(&self.path).with(&query)).await?);
        }
        let watch = self.open.as_mut().expect("opened above");
        let Some(event) = watch.next().await? else {
            self.open = None;
            return Ok(None);
        };
        self.revision =
            event.object["metadata"]["resourceVersion"].as_str().map(str::to_owned).or(Some(revision));
        Ok(match event.kind {
            EventKind::Added | EventKind::Modified => Some(Seen::Is(event.object)),
            EventKind::Deleted => Some(Seen::Gone(event.object)),
            EventKind::Bookmark => None,
        })
    }

    async fn list(&mut self) -> Result<Seen, ClientError> {
        let query = self.selectors();
        let mut list = self.rest.json(&Ask::get(&self.path).with(&query)).await?;
        let (version, kind) = (list["apiVersion"].clone(), item_kind(&list));
        self.revision = list["metadata"]["resourceVersion"].as_str().map(str::to_owned);
        let Value::Array(mut items) = list["items"].take() else { return Ok(Seen::All(Vec::new())) };
        for item in items.iter_mut().filter_map(Value::as_object_mut) {
            // Items of a list leave out what the list says.
            item.entry("apiVersion").or_insert_with(|| version.clone());
            item.entry("kind").or_insert_with(|| kind.clone());
        }
        Ok(Seen::All(items))
    }

    async fn recover(&mut self, error: ClientError) -> Result<(), ClientError> {
        self.open = None;
        if error.code() == Some(410) {
            self.revision = None;
            return Ok(());
        }
        if !error.is_retryable() && !matches!(error, ClientError::Malformed { .. }) {
            return Err(error);
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }

    fn selectors(&self) -> Vec<(&str, &str)> {
        self.query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

fn item_kind(list: &Value) -> Value {
    let kind = list["kind"].as_str().unwrap_or_default();
    kind.strip_suffix("List").unwrap_or(kind).into()
}
