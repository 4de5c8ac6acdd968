//! Patches: JSON patch, JSON merge patch, strategic merge patch. Each takes the current object and the decoded patch
//! and gives the patched object, before decoding against the type.

mod error;
mod go;
mod json_patch;
mod merge;
mod pointer;
mod strategic;
mod three_way;

pub use error::PatchError;
pub(crate) use go::go_value;
pub use json_patch::apply_json_patch;
pub use merge::{apply_merge_patch, decode_merge_patch};
pub use strategic::apply_strategic_patch;
pub use three_way::three_way_patch;
