//! What the server's own loops over objects share.

use trireme_mvcc::watch::{Filter, WatchRequest};
use trireme_mvcc::{Key, State};
use trireme_raft::store::{Store, WatchCursor};

use crate::records::RecordsError;
use crate::server::Server;

/// A cursor over what changes from now on under a prefix.
///
/// # Errors
/// The member does not run, or has too many cursors.
pub(crate) async fn follow(server: &Server, prefix: &str) -> Result<WatchCursor, RecordsError> {
    let after = server.records.read_local(State::revision).unwrap_or_default();
    let request =
        WatchRequest { filter: Filter::Prefix(Key::from(prefix)), after, previous: false, bookmarks: false };
    let opened = server.records.watch(request).await?;
    opened.map_err(|error| RecordsError::Refused(error.to_string()))
}

/// Whether this server's member leads: what one server is enough for is done there.
pub(crate) async fn leads(server: &Server) -> bool {
    match server.records.store().await {
        Ok(store) => store.leadership().borrow().is_me,
        Err(_) => false,
    }
}
