//! Who is who in a cluster: the certificate authority, identities, join tokens, and the TLS configurations that hold
//! peers to them. The only crate that builds rustls configurations. Knows nothing of actors, sockets or storage: it
//! offers values, pure decisions and configurations; `net/bus` and the composition root carry them out.
//!
//! # What each secret protects
//!
//! | secret | where it lives | who holding it can | withdrawn by |
//! |---|---|---|---|
//! | authority key | `authority.pem` (0600) on each server; travels only sealed to a joining server's one-time key, inside pinned TLS | become anybody in the cluster, for ten years | a new authority: every machine joins again |
//! | party key | `credentials.pem` (0600) on its machine; never travels | be that server or node until its certificate ends (30 d) | revoking the identity or serial: at once for new handshakes, and for standing ones as soon as the bus rechecks |
//! | token secret | with the administrator and the joiner; the cluster keeps a salted SHA-256 | join under a name that is not taken, in the token's role; with the role `server` that includes being given the authority key | revoking the token; expiry |
//! | sealing key | memory of a joining server, for one request | read that one export | dropping it |
//!
//! The CA pin in a token is no secret: it keeps a joiner from telling its token to the wrong cluster. Certificates are
//! not secret either; the handshake proves possession of the key.
//!
//! Not defended here: a stolen authority key, root on a server (revoking a server closes its connections, but it keeps the
//! authority key it was given: after a break-in make a new authority), a token of role `server` in the wrong hands within its
//! life. A node's certificate cannot sign (no CA flag, and peers' intermediates are never used), cannot serve as a
//! server on the bus (dialers check the URI's kind), and cannot name the API server to HTTPS clients (the issuer
//! allows a node no DNS name but its own, and no reserved address). A node's claim to an unreserved IP address is not
//! verified against the network.
//!
//! # Invariants
//!
//! - URI and Kubernetes subject of a certificate are functions of one [`Identity`]; reading refuses a mismatch.
//! - Every signature for a member follows a [`Issuer::decide`]; a certificate request contributes its key and nothing
//!   else. What is signed for others ([`ClusterAuthority::sign_for_client`]) never holds an identity URI.
//! - Every handshake is full: no resumption, no 0-RTT, so chain, time, purpose, cluster and revocation are checked
//!   each time (see [`TlsProfile`]).
//! - Decisions take `now` as an argument; only TLS handshakes ask a clock, and that one can be replaced.
//! - A file with a key is replaced whole, fsynced with its directory, mode 0600, and refused when others can read it.
//!
//! # Deliberate absences
//!
//! No CRL or OCSP (the ledger travels by the cluster's own log); no intermediate authorities; no change of authority
//! without joining again; no keys of members other than ECDSA P-256 are certified.

mod alt_name;
mod authority;
mod ca_certificate;
mod certificate_request;
mod chain_check;
mod client_request;
mod cluster_id;
mod credentials;
#[cfg(test)]
mod hostile_bytes_test;
mod https_profile;
mod identity;
mod identity_name;
mod issuer;
#[cfg(test)]
mod join_flow_test;
mod join_token;
mod key_request;
mod live_trust;
mod peer_certificate;
mod peer_refused;
mod private_files;
mod provider;
mod sealed;
mod subject_der;
#[cfg(test)]
mod test_kit;
mod tls_profile;
mod token_record;
mod trust_ledger;
mod verifiers;
mod wall_time;

pub use alt_name::{ALT_NAMES_LIMIT, AltName};
pub use authority::{
    AUTHORITY_LIFETIME, AuthorityError, BACKDATE, CERTIFICATE_LIFETIME_LIMIT, CERTIFICATE_LIFETIME_MINIMUM,
    ClusterAuthority, IssuedCertificate, SignError, SigningOrder,
};
pub use ca_certificate::{CaCertificate, CaPin};
pub use certificate_request::{REQUEST_LIMIT_BYTES, requested_key_sha256};
pub use client_request::{ClientOrder, RequestedCertificate};
pub use cluster_id::{CLUSTER_ID_LIMIT_BYTES, ClusterId};
pub use credentials::{Credentials, CredentialsError};
pub use https_profile::{
    ALPN_H2, ALPN_HTTP11, CLIENT_AUTHORITIES_LIMIT, CLIENT_CHAIN_LIMIT, CLIENT_NAMES_LIMIT,
    ClientAuthorities, ClientCertificate, ClientRefused, HttpsError, ServedCertificate, https_client,
    https_server,
};
pub use identity::{
    GROUP_LIMIT_BYTES, GROUP_MASTERS, GROUP_NODES, GROUP_SERVERS, GROUPS_LIMIT, Identity, IdentityError,
};
pub use identity_name::{IdentityKind, IdentityName, NAME_LIMIT_BYTES};
pub use issuer::{Caller, IssuePlan, IssueRequest, Issuer, MACHINE_LIFETIME, Refusal, USER_LIFETIME};
pub use join_token::{
    JoinToken, TOKEN_ID_LENGTH, TOKEN_SECRET_LENGTH, TokenId, TokenSecret, TokenSyntaxError,
};
pub use key_request::{KeyError, KeyRequest};
pub use live_trust::LiveTrust;
pub use peer_certificate::{
    CERTIFICATE_LIMIT_BYTES, CertificateUnreadable, PeerCertificate, SERIAL_LIMIT_BYTES, Serial,
};
pub use peer_refused::{ExpectedPeer, PeerRefused, RefusalCode};
pub use private_files::{FILE_LIMIT_BYTES, FileError};
pub use provider::install_crypto_provider;
pub use sealed::{SEALED_LIMIT_BYTES, SealError, SealOpener, SealTo};
pub use tls_profile::{
    ALPN_BUS, ALPN_JOIN, Admission, TLS_SERVER_NAME, TlsConfigError, TlsProfile, join_client,
    join_client_with_clock, peer_certificate, peer_identity,
};
pub use token_record::{JoinRole, SALT_BYTES, TokenRecord, TokenRefused};
pub use trust_ledger::{
    ENROLMENTS_LIMIT, Enrolment, LedgerError, REVOKED_IDENTITIES_LIMIT, REVOKED_SERIALS_LIMIT,
    REVOKED_TOKENS_LIMIT, Revocation, TOKEN_LIFETIME_LIMIT, TOKENS_LIMIT, TrustLedger,
};
pub use verifiers::pinned_authority;
pub use wall_time::WallTime;
