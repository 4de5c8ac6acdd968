//! Images: names, content on disk, unpacking, importing and building.
//!
//! Plain blocking code without state of its own but the disk's; callers run it off the reactor.

pub(crate) mod blob;
pub(crate) mod build;
mod collect;
mod decompress;
pub(crate) mod elf;
pub(crate) mod files;
pub(crate) mod import;
pub(crate) mod layer;
pub(crate) mod reference;
pub(crate) mod spec;
pub(crate) mod store;

#[cfg(test)]
mod image_test;

pub use blob::BlobWriter;
pub use build::{BuildImage, build};
pub use import::import;
pub use reference::Reference;
pub use spec::{Descriptor, ImageConfig, Platform, ProcessConfig, RootFs};
pub use store::{ContentLock, ImageStore, StoredImage};
