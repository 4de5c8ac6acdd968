//! trireme-admission: the ordered chain of plugins that judge and change what is about to be written.
//!
//! Pure: a plugin sees the request and reads other objects through [`trireme_schema::objects::Objects`]. Order and
//! names are upstream's.

mod request;

pub use request::{Operation, Request, SideWrite, Verdict};
