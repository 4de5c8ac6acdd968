//! Events: what happened to objects, told to people as upstream's recorder tells it (core/v1 Events).
//!
//! [`EventRecorder`] (`/cluster/events`, permanent) takes happenings from every actor of the scope, counts and combines
//! them, and writes them under the identity of whoever tells. It promises nothing: when more happens than can be told,
//! or it is killed, events are lost, as upstream's are.

mod correlator;
mod recorder;

pub use recorder::{EventInput, EventRecorder, EventSink, Told};
