//! A feed whose objects the test sets.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use serde_json::Value;
use tokio::sync::mpsc;
use trireme_node::{Feed, FeedEvent, FeedKind};

#[derive(Default)]
struct State {
    objects: BTreeMap<(FeedKind, String), Arc<Value>>,
    followers: Vec<(FeedKind, mpsc::Sender<FeedEvent>)>,
}

#[derive(Default)]
pub struct TestFeed {
    state: Mutex<State>,
}

impl TestFeed {
    pub fn set(&self, object: &Value) {
        let (kind, key, object) = (kind(object), key(object), Arc::new(object.clone()));
        let mut state = self.state.lock().unwrap();
        state.objects.insert((kind, key), Arc::clone(&object));
        state.tell(kind, &FeedEvent::Set(object));
    }

    pub fn remove(&self, object: &Value) {
        let kind = kind(object);
        let mut state = self.state.lock().unwrap();
        if let Some(last) = state.objects.remove(&(kind, key(object))) {
            state.tell(kind, &FeedEvent::Gone(last));
        }
    }

    /// Ends all streams: followers must begin anew.
    pub fn cut(&self) {
        self.state.lock().unwrap().followers.clear();
    }
}

impl State {
    fn tell(&mut self, kind: FeedKind, event: &FeedEvent) {
        self.followers.retain(|(of, to)| *of != kind || to.try_send(event.clone()).is_ok());
    }
}

impl Feed for TestFeed {
    fn follow(&self, kind: FeedKind) -> BoxStream<'static, FeedEvent> {
        let mut state = self.state.lock().unwrap();
        let (sender, receiver) = mpsc::channel(10_000);
        let all =
            state.objects.iter().filter(|((of, _), _)| *of == kind).map(|(_, object)| Arc::clone(object));
        sender.try_send(FeedEvent::Resync(all.collect())).unwrap();
        state.followers.push((kind, sender));
        futures_util::stream::unfold(receiver, |mut receiver| async move {
            let event = receiver.recv().await?;
            Some((event, receiver))
        })
        .boxed()
    }
}

fn kind(object: &Value) -> FeedKind {
    match object["kind"].as_str().unwrap() {
        "Service" => FeedKind::Services,
        "EndpointSlice" => FeedKind::EndpointSlices,
        _ => FeedKind::Nodes,
    }
}

fn key(object: &Value) -> String {
    format!("{}/{}", object["metadata"]["namespace"], object["metadata"]["name"])
}
