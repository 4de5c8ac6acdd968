//! Registries.
use trireme_node::PullCredentials;

use crate::fail::{Outcome, unsupported};
use crate::image::{ImageStore, StoredImage};

/// Mirrors and credentials.
#[derive(Clone, Debug, Default)]
pub struct Registries {}

impl Registries {
    pub(crate) async fn pull(&self, _: &ImageStore, image: &str, _: &[PullCredentials]) -> Outcome<StoredImage> {
        Err(unsupported(format!("pulling {image} is not built")))
    }
}
