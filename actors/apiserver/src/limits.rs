//! Named limits of the API server, each with its unit.

use std::time::Duration;

/// Attempts of one write whose guard failed because the object changed meanwhile.
pub const WRITE_ATTEMPTS: usize = 16;
/// How long one write may look for a leader and a quorum.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a read waits for a revision that this member has not applied yet (upstream: 3 s).
pub const FUTURE_WAIT: Duration = Duration::from_secs(3);
/// Objects read from the store at a time while a list is put together.
pub const LIST_CHUNK_OBJECTS: usize = 10_000;
/// Bytes of stored objects read at a time while a list is put together.
pub const LIST_CHUNK_BYTES: usize = 64 * 1024 * 1024;
/// Decoded objects kept, all resources together.
pub const DECODED_OBJECTS: usize = 16_384;
/// Stored bytes of the decoded objects kept, all resources together.
pub const DECODED_BYTES: usize = 64 * 1024 * 1024;
/// Frames that one watch may be behind its client before it is ended.
pub const WATCH_FRAMES: usize = 4096;
/// Watches of one server.
pub const WATCHES: usize = 65_536;
/// Encoded shapes kept of one event besides the plain one.
pub const EVENT_ENCODINGS: usize = 16;
/// Time between two bookmarks of a watch that asked for them (upstream: about a minute).
pub const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
/// How long before its end a watch gets its last bookmark.
pub const BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);
/// Shortest life of a watch without `timeoutSeconds`; the longest is twice that (upstream: 1800 s).
pub const WATCH_LIFE: Duration = Duration::from_secs(1800);
/// Time between two looks for watches whose client has gone.
pub const WATCH_SWEEP: Duration = Duration::from_secs(5);
/// Longest continue token taken, in bytes.
pub const CONTINUE_BYTES: usize = 4096;
/// Attempts to find a free generated name.
pub const NAME_ATTEMPTS: usize = 8;
/// Longest field manager derived from a user agent, in bytes.
pub const MANAGER_BYTES: usize = 128;
/// Warnings sent with one answer, all texts together, in bytes (upstream: 16 KiB).
pub const WARNING_BYTES: usize = 16 * 1024;
/// One warning longer than this is cut when they do not all fit, in bytes.
pub const WARNING_CUT_BYTES: usize = 256;
