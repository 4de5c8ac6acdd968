//! trireme-protobuf: objects in `application/vnd.kubernetes.protobuf`, to and from their JSON trees.
//!
//! Pure, and driven by a table (`data/tags.tsv`, see `data/generate.py`) of the field numbers of every built-in type:
//! there are no generated structs, so that both formats pass through the same decoding, defaulting and validation.
//!
//! # Invariants
//! - No input panics; nesting is bounded by [`DEPTH_MAX`], sizes by the bytes handed in.
//! - What protobuf cannot say is left out: null and absent read alike, empty lists and maps vanish.
//!
//! # Deliberate absences
//! Custom kinds: upstream serves them as JSON alone.

mod decode;
mod encode;
mod envelope;
mod error;
mod special;
mod tags;
mod wire;

pub use envelope::{decode_object, encode_object, encode_watch_event};
pub use error::ProtobufError;

/// Deepest nesting of messages.
pub const DEPTH_MAX: usize = 100;
