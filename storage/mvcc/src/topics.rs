//! Which revisions of the history touched a directory.
//!
//! A watch on `/registry/pods/` reads only the revisions of that directory, however many other writes lie in
//! between. Purely derived from the history: rebuilt at load, not hashed, not stored.

use std::collections::{BTreeMap, VecDeque};

use crate::key::directories;
use crate::revision::Revision;

#[derive(Default)]
pub(crate) struct Topics {
    revisions: BTreeMap<Box<[u8]>, VecDeque<Revision>>,
}

/// The revisions that may concern a prefix.
pub(crate) enum TopicRevisions<'a> {
    /// No directory of the prefix is indexed: any revision may.
    Any,
    /// Only these, ascending.
    Of(&'a VecDeque<Revision>),
    /// None at all.
    Nothing,
}

impl Topics {
    pub(crate) fn push(&mut self, key: &[u8], revision: Revision) {
        for directory in directories(key) {
            match self.revisions.get_mut(directory) {
                Some(revisions) => revisions.push_back(revision),
                None => {
                    self.revisions.insert(directory.into(), VecDeque::from([revision]));
                }
            }
        }
    }

    /// Forgets the oldest revision of the key's directories, which must be this one.
    pub(crate) fn pop(&mut self, key: &[u8], revision: Revision) {
        for directory in directories(key) {
            let revisions = self.revisions.get_mut(directory).expect("push made the directory");
            let oldest = revisions.pop_front();
            assert_eq!(oldest, Some(revision), "the history forgets in the order in which it learnt");
            if revisions.is_empty() {
                self.revisions.remove(directory);
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        self.revisions.clear();
    }

    /// The revisions that may concern keys beginning with `prefix`.
    pub(crate) fn of_prefix(&self, prefix: &[u8]) -> TopicRevisions<'_> {
        match directories(prefix).last() {
            None => TopicRevisions::Any,
            Some(directory) => match self.revisions.get(directory) {
                Some(revisions) => TopicRevisions::Of(revisions),
                None => TopicRevisions::Nothing,
            },
        }
    }
}
