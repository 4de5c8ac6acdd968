//! Forwarding a request, or the upgrade it asks for, to another HTTP server: nodes, services, aggregated APIs.
//!
//! Deliberately absent: connection reuse (each forwarded request has its own connection, as upgrades need it anyhow),
//! retries (the caller knows what is safe), rewriting of bodies and redirects.

mod backend;
mod exchange;
mod forward;
mod hygiene;

pub use backend::{Backend, BackendIo, Dialing, TcpBackend, TlsBackend};
pub use exchange::fetch;
pub use forward::{ProxyError, ProxyLimits, forward};
pub use hygiene::{ForwardedBy, clean_request_headers, clean_response_headers, wants_upgrade};
