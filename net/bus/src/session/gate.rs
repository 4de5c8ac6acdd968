//! The fault gate: frames on their way out and in, when some fault rule is live.
//!
//! The gate works on whole frames, so a dropped frame is lost like one whose connection broke: its call runs into
//! its deadline. Streams stay intact. Nothing of this runs while no rule is live.

use super::Session;
use super::outbound::{Bound, PushError};
use crate::class::{CLASSES, class_index, class_name};
use crate::frame::Frame;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use trireme_core::Tick;
use trireme_faults::{BusFault, Direction};
use trireme_kernel::Class;

/// A frame held back to be delivered after the next one goes on alone after this long.
const HOLD_LIMIT: Duration = Duration::from_millis(50);

/// Frames held back until the next of their class passes.
#[derive(Debug, Default)]
pub(super) struct Held {
    out: Mutex<[Option<Frame>; CLASSES]>,
    incoming: Mutex<[Option<Frame>; CLASSES]>,
}

impl Session {
    /// Asks the fault rules about an outgoing frame and does what they say.
    pub(super) fn send_through_gate(
        self: &Arc<Self>,
        class: Class,
        bound: Bound,
        frame: &Frame,
    ) -> Result<u64, PushError> {
        // A frame that a fault keeps counts as sent: to the caller it is lost on the way.
        const KEPT: u64 = 0;
        let fault =
            self.engine.faults.bus(&self.peer.name, class_name(class), Direction::Out, self.engine.now());
        match fault {
            Some(BusFault::Drop | BusFault::Partition) => return Ok(KEPT),
            Some(BusFault::Delay(wait)) => {
                let (session, frame) = (Arc::clone(self), frame.clone());
                self.engine.io.spawn(async move {
                    tokio::time::sleep(wait).await;
                    // A session that ended meanwhile has told its callers already.
                    let _ = session.queue_frame(class, Bound::Hard, &frame);
                });
                return Ok(KEPT);
            }
            Some(BusFault::Reorder) => {
                let earlier = self.held.out.lock()[class_index(class)].replace(frame.clone());
                self.spawn_release(class, Direction::Out);
                if let Some(earlier) = earlier {
                    self.queue_frame(class, Bound::Hard, &earlier)?;
                }
                return Ok(KEPT);
            }
            Some(BusFault::Duplicate) => {
                self.queue_frame(class, bound, frame)?;
            }
            None => {}
        }
        let position = self.queue_frame(class, bound, frame);
        self.release(class, Direction::Out);
        position
    }

    /// Asks the fault rules about a received frame and does what they say.
    pub(super) fn receive_through_gate(self: &Arc<Self>, class: Class, frame: Frame, now: Tick) {
        match self.engine.faults.bus(&self.peer.name, class_name(class), Direction::In, now) {
            Some(BusFault::Drop | BusFault::Partition) => return,
            Some(BusFault::Delay(wait)) => {
                let session = Arc::clone(self);
                self.engine.io.spawn(async move {
                    tokio::time::sleep(wait).await;
                    let now = session.engine.now();
                    session.receive(class, frame, now);
                });
                return;
            }
            Some(BusFault::Reorder) => {
                let earlier = self.held.incoming.lock()[class_index(class)].replace(frame);
                self.spawn_release(class, Direction::In);
                if let Some(earlier) = earlier {
                    self.receive(class, earlier, now);
                }
                return;
            }
            Some(BusFault::Duplicate) => self.receive(class, frame.clone(), now),
            None => {}
        }
        self.receive(class, frame, now);
        self.release(class, Direction::In);
    }

    fn spawn_release(self: &Arc<Self>, class: Class, way: Direction) {
        let session = Arc::clone(self);
        self.engine.io.spawn(async move {
            tokio::time::sleep(HOLD_LIMIT).await;
            session.release(class, way);
        });
    }

    fn release(self: &Arc<Self>, class: Class, way: Direction) {
        match way {
            Direction::Out => {
                let frame = self.held.out.lock()[class_index(class)].take();
                if let Some(frame) = frame {
                    // A session that ended meanwhile has told its callers already.
                    let _ = self.queue_frame(class, Bound::Hard, &frame);
                }
            }
            Direction::In | Direction::Both => {
                let frame = self.held.incoming.lock()[class_index(class)].take();
                if let Some(frame) = frame {
                    self.receive(class, frame, self.engine.now());
                }
            }
        }
    }
}
