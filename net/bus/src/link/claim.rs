//! Which of several connections between two machines stays. Pure.

/// What both ends know about a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The session's number on this machine; later sessions have larger ones.
    pub session: u64,
    /// Name of the machine that dialled.
    pub dialed_by: String,
    /// Name of the machine at the other end.
    pub peer: String,
    /// The peer's process instance.
    pub peer_instance: u64,
}

/// The session that stays. Both ends come to the same one:
/// a connection of a newer instance of the peer beats older ones, since those lead to a process that is gone;
/// of two connections by the same dialler the newer stays, since the dialler had lost the older;
/// of two connections dialled at the same time from both ends, the one of the machine whose name sorts first.
pub fn preferred(claims: &[Claim], me: &str) -> Option<u64> {
    let mut sorted: Vec<&Claim> = claims.iter().collect();
    sorted.sort_by_key(|claim| claim.session);
    sorted
        .into_iter()
        .reduce(|stays, new| {
            let new_wins = stays.peer_instance != new.peer_instance
                || stays.dialed_by == new.dialed_by
                || new.dialed_by.as_str() == me.min(new.peer.as_str());
            if new_wins { new } else { stays }
        })
        .map(|claim| claim.session)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(session: u64, dialed_by: &str, peer: &str, peer_instance: u64) -> Claim {
        Claim { session, dialed_by: dialed_by.into(), peer: peer.into(), peer_instance }
    }

    #[test]
    fn both_ends_keep_the_same_of_two_simultaneous_connections() {
        // a sees its own dial first, b sees its own first.
        assert_eq!(preferred(&[claim(1, "a", "b", 7), claim(2, "b", "b", 7)], "a"), Some(1));
        assert_eq!(preferred(&[claim(1, "b", "a", 9), claim(2, "a", "a", 9)], "b"), Some(2));
        // And in the other order of arrival.
        assert_eq!(preferred(&[claim(1, "b", "b", 7), claim(2, "a", "b", 7)], "a"), Some(2));
        assert_eq!(preferred(&[claim(2, "b", "a", 9), claim(1, "a", "a", 9)], "b"), Some(1));
    }

    #[test]
    fn a_restarted_peer_and_a_new_dial_replace_the_old_connection() {
        assert_eq!(preferred(&[claim(1, "a", "b", 7), claim(2, "b", "b", 8)], "a"), Some(2));
        assert_eq!(preferred(&[claim(1, "b", "b", 7), claim(2, "b", "b", 7)], "a"), Some(2));
        assert_eq!(preferred(&[], "a"), None);
    }
}
