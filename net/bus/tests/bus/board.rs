//! A publisher for tests.

use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;
use trireme_bus::frame::SubEndReason;
use trireme_bus::{PeerIdentity, PublishError, Publisher, Publishers, SubscribeRefused};

/// Keeps every publisher.
#[derive(Default)]
pub struct Board {
    pub publishers: Mutex<Vec<Publisher>>,
}

impl Board {
    pub fn len(&self) -> usize {
        self.publishers.lock().len()
    }

    pub fn publish(&self, body: &Bytes) -> Vec<Result<(), PublishError>> {
        self.publishers.lock().iter().map(|publisher| publisher.publish(body.clone())).collect()
    }
}

impl Publishers for Board {
    fn subscribe(
        &self,
        _: &Arc<PeerIdentity>,
        _: &str,
        topic: Bytes,
        publisher: Publisher,
    ) -> Result<(), SubscribeRefused> {
        if topic == "bad" {
            return Err(SubscribeRefused {
                reason: SubEndReason::Refused,
                message: "a bad topic".to_owned(),
            });
        }
        self.publishers.lock().push(publisher);
        Ok(())
    }
}
