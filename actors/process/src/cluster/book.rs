use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use trireme_pki::{IdentityKind, IdentityName, LedgerError, TrustLedger, WallTime};

use crate::files::write_whole;

/// Why the book's file cannot be used.
#[derive(Debug, Error)]
pub enum BookFileError {
    /// The operating system does not give it.
    #[error("cannot read {file}: {source}")]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no book.
    #[error("{file} is damaged ({source}); move it away: the machine learns the book again from the servers")]
    Damaged {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The operating system does not take it.
    #[error("cannot write {file}: {source}")]
    Unwritable {
        /// Which.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// A machine of the cluster. Ordered by `admitted`, then `epoch`: on a merge the greater one counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Member {
    /// When it joined; a revocation at a later moment ends the membership.
    pub admitted: WallTime,
    /// Raised by the machine itself whenever its address changes.
    pub epoch: u64,
    /// Where its bus listens; agents have none, they dial out.
    pub address: Option<SocketAddr>,
}

/// What every machine knows of the cluster: who belongs to it, and what is trusted.
///
/// Copies change independently and are merged; the outcome depends neither on order nor on repetition.
/// A revoked identity beats a member that was admitted before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    members: BTreeMap<IdentityName, Member>,
    trust: TrustLedger,
}

impl Book {
    /// What is trusted.
    pub fn trust(&self) -> &TrustLedger {
        &self.trust
    }

    /// Changes what is trusted.
    ///
    /// # Errors
    /// The edit's own; the book is as it was then.
    pub(crate) fn edit_trust<T>(
        &mut self,
        edit: impl FnOnce(&mut TrustLedger) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        edit(&mut self.trust)
    }

    /// The machines that belong to the cluster, without revoked ones.
    pub fn members(&self) -> impl Iterator<Item = (&IdentityName, &Member)> {
        self.members.iter().filter(|(name, member)| self.is_current(name, member))
    }

    /// One of them.
    pub fn member(&self, name: &IdentityName) -> Option<&Member> {
        self.members.get(name).filter(|member| self.is_current(name, member))
    }

    /// The servers and where their buses listen.
    pub fn servers(&self) -> impl Iterator<Item = (&IdentityName, SocketAddr)> {
        self.members()
            .filter(|(name, _)| name.kind() == IdentityKind::Server)
            .filter_map(|(name, member)| Some((name, member.address?)))
    }

    /// Writes a machine down as it joins or moves. A revocation in the same second counts as earlier.
    pub fn admit(&mut self, name: &IdentityName, address: Option<SocketAddr>, at: WallTime) {
        let floor = self.trust.earliest_begin(name).unwrap_or_default();
        let known = self.member(name).cloned();
        let member = match known {
            Some(member) if member.address == address => return,
            Some(member) => Member { epoch: member.epoch + 1, address, ..member },
            None => Member { admitted: at.max(floor), epoch: 0, address },
        };
        self.members.insert(name.clone(), member);
    }

    /// Writes down servers somebody told of, as a start: anything heard from the cluster itself counts for more.
    pub fn hint(&mut self, servers: &[(IdentityName, SocketAddr)]) {
        for (name, address) in servers {
            let hint = Member { admitted: WallTime::default(), epoch: 0, address: Some(*address) };
            self.members.entry(name.clone()).or_insert(hint);
        }
    }

    /// Remembers the key under which a machine holds its name.
    ///
    /// # Errors
    /// The ledger is full.
    pub fn enrol(
        &mut self,
        name: &IdentityName,
        public_key_sha256: [u8; 32],
        at: WallTime,
    ) -> Result<(), LedgerError> {
        self.trust.enrol(name, public_key_sha256, at)
    }

    /// Reads the book of an earlier start; an absent file is an empty book. Blocks.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged.
    pub fn load(file: &Path) -> Result<Self, BookFileError> {
        let text = match std::fs::read(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(BookFileError::Unreadable { file: file.to_owned(), source }),
        };
        serde_json::from_slice(&text)
            .map_err(|source| BookFileError::Damaged { file: file.to_owned(), source })
    }

    /// Puts the book on disk, whole and fsynced. Blocks.
    ///
    /// # Errors
    /// The file cannot be written; the old one is untouched then.
    pub fn save(&self, file: &Path) -> Result<(), BookFileError> {
        let text = serde_json::to_vec_pretty(self).expect("a book of strings and numbers is always JSON");
        write_whole(file, &text).map_err(|source| BookFileError::Unwritable { file: file.to_owned(), source })
    }

    /// Takes in another copy; true when something changed.
    ///
    /// # Errors
    /// The union is past a limit; nothing is taken in then.
    pub fn merge(&mut self, other: &Self) -> Result<bool, LedgerError> {
        let trust_changed = self.trust.merge(&other.trust)?;
        let mut members_changed = false;
        for (name, theirs) in &other.members {
            if self.members.get(name).is_none_or(|ours| ours < theirs) {
                self.members.insert(name.clone(), theirs.clone());
                members_changed = true;
            }
        }
        Ok(trust_changed || members_changed)
    }

    /// The part of the book an agent needs: machines and revocations, no tokens.
    #[must_use]
    pub fn without_tokens(&self) -> Self {
        Self { members: self.members.clone(), trust: self.trust.without_tokens() }
    }

    fn is_current(&self, name: &IdentityName, member: &Member) -> bool {
        self.trust.earliest_begin(name).is_none_or(|void_before| member.admitted >= void_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> WallTime {
        WallTime::from_unix_seconds(seconds)
    }

    fn server(name: &str) -> IdentityName {
        IdentityName::new(IdentityKind::Server, name).unwrap()
    }

    fn address(port: u16) -> Option<SocketAddr> {
        Some(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    #[test]
    fn the_later_address_counts_whatever_the_order_of_merges() {
        let mut old = Book::default();
        old.admit(&server("s1"), address(1), at(10));
        let mut new = old.clone();
        new.admit(&server("s1"), address(2), at(20));
        let (mut a, mut b) = (old.clone(), new.clone());
        assert!(a.merge(&new).unwrap());
        assert!(!b.merge(&old).unwrap());
        assert_eq!(a, b);
        assert_eq!(a.servers().next().unwrap().1.port(), 2);
        assert!(!a.merge(&new).unwrap(), "a repeated merge changes nothing");
    }

    #[test]
    fn a_revoked_machine_is_gone_until_it_joins_anew() {
        let mut book = Book::default();
        book.admit(&server("s1"), address(1), at(10));
        let before = book.clone();
        book.edit_trust(|trust| trust.revoke_identity(&server("s1"), at(20))).unwrap();
        assert_eq!(book.members().count(), 0);
        book.merge(&before).unwrap();
        assert_eq!(book.members().count(), 0, "an old copy does not bring it back");
        book.admit(&server("s1"), address(3), at(20));
        assert_eq!(book.member(&server("s1")).unwrap().admitted, at(20));
        let mut other = before;
        other.merge(&book).unwrap();
        assert_eq!(other, book);
    }
}
