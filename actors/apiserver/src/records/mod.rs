//! Objects in the replicated store: keys, the stored form, reads, transactions, and the view that decisions take.

mod decoded;
mod keys;
mod record;
mod requests;
mod store;
mod view;

pub use decoded::DecodedCache;
pub use keys::{ROOT, ResourceKey};
pub use record::{Record, RecordError, encode, same_content, type_prefix_bytes};
pub use requests::RequestIds;
pub use store::{Commit, Listing, Records, RecordsError};
pub use view::StoreView;
