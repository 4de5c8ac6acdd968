//! Watches: one cursor per resource, shared events, one encoding per version and content type.
//!
//! A [`Feed`](feed) lives while its resource has watchers: a task that reads the store's changes once and hands each
//! watcher its encoded frame. Nothing is buffered per watcher but its bounded channel of shared frames; a client that
//! does not keep up is ended and lists again. Resources without watchers cost nothing.

mod event;
mod feed;
mod hub;
mod session;
mod shape;
mod watcher;

pub(crate) use event::EventType;
pub(crate) use hub::Hub;
pub(crate) use session::watch;
pub(crate) use shape::{EventShape, ShapeEncoder};
