//! [`FeedActor`]: `/cluster/feed`, keeps the [`Feed`] going.

use std::sync::Arc;
use std::time::Duration;

use trireme_kernel::{ActorSpec, Behaviour, Context, StartError};
use trireme_mvcc::watch::WatchError;

use super::Feed;

/// Pause before the feed begins anew.
const PAUSE: Duration = Duration::from_millis(20);

/// What the actor receives.
#[derive(Debug)]
pub enum FeedInput {
    /// The index is built.
    Built,
    /// The history that it needs is gone, or the store is.
    Lost(WatchError),
}

/// See the module.
pub struct FeedActor {
    feed: Arc<Feed>,
}

impl FeedActor {
    /// The actor called `feed`.
    pub fn spec(feed: Arc<Feed>) -> ActorSpec<Self> {
        ActorSpec::new("feed", move |_| Self { feed: feed.clone() })
    }

    fn follow(&self, pause: Duration, cx: &mut Context<Self>) {
        let feed = self.feed.clone();
        let following = cx.spawn_io(async move {
            tokio::time::sleep(pause).await;
            FeedInput::Lost(feed.run().await)
        });
        following.expect("there are two tasks at a time, far below the limit");
        let feed = self.feed.clone();
        let building = cx.spawn_io(async move {
            feed.ready().await;
            FeedInput::Built
        });
        building.expect("there are two tasks at a time, far below the limit");
    }
}

impl Behaviour for FeedActor {
    type Input = FeedInput;

    fn started(&mut self, cx: &mut Context<Self>) -> Result<(), StartError> {
        self.follow(Duration::ZERO, cx);
        Ok(())
    }

    fn handle(&mut self, input: FeedInput, cx: &mut Context<Self>) {
        match input {
            FeedInput::Built => {}
            FeedInput::Lost(error) => {
                tracing::warn!(%error, "the feed of the leader's actors begins anew");
                self.feed.position.send_replace(None);
                self.follow(PAUSE, cx);
            }
        }
    }

    fn state_name(&self) -> &'static str {
        if self.feed.position.borrow().is_some() { "following" } else { "building" }
    }

    fn label(input: &FeedInput) -> &'static str {
        match input {
            FeedInput::Built => "built",
            FeedInput::Lost(_) => "lost",
        }
    }
}
