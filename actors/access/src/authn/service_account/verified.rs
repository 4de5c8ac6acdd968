//! [`Verified`]: tokens whose signatures were found good, so that a client that comes again costs no cryptography.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;

/// Most tokens kept in each of two generations.
const GENERATION_LIMIT: usize = 4096;
/// Longest token that is kept, in bytes.
const TOKEN_LIMIT_BYTES: usize = 4096;

#[derive(Default)]
struct Generations {
    young: HashMap<String, Arc<Value>>,
    old: HashMap<String, Arc<Value>>,
}

/// Claims by token. What is not asked for while a generation fills is forgotten. Says nothing about time, audiences or what
/// a token is bound to: those are looked at each time.
#[derive(Default)]
pub(super) struct Verified {
    generations: Mutex<Generations>,
}

impl Verified {
    /// The claims of a token whose signature was good.
    pub(super) fn claims(&self, token: &str) -> Option<Arc<Value>> {
        let mut generations = self.generations.lock();
        if let Some(claims) = generations.young.get(token) {
            return Some(claims.clone());
        }
        let (token, claims) = generations.old.remove_entry(token)?;
        generations.keep(token, claims.clone());
        Some(claims)
    }

    /// Keeps the claims of a token whose signature is good.
    pub(super) fn keep(&self, token: &str, claims: &Arc<Value>) {
        if token.len() <= TOKEN_LIMIT_BYTES {
            self.generations.lock().keep(token.to_owned(), claims.clone());
        }
    }
}

impl Generations {
    fn keep(&mut self, token: String, claims: Arc<Value>) {
        if self.young.len() >= GENERATION_LIMIT {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(token, claims);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_rest_goes() {
        let verified = Verified::default();
        let claims = Arc::new(Value::Null);
        verified.keep("used", &claims);
        verified.keep("unused", &claims);
        for number in 0..3 * GENERATION_LIMIT {
            verified.keep(&format!("t{number}"), &claims);
            assert!(verified.claims("used").is_some(), "{number}");
        }
        assert!(verified.claims("unused").is_none());
        let generations = verified.generations.lock();
        assert!(generations.young.len() <= GENERATION_LIMIT && generations.old.len() <= GENERATION_LIMIT);
        drop(generations);
        let long = "x".repeat(TOKEN_LIMIT_BYTES + 1);
        verified.keep(&long, &claims);
        assert!(verified.claims(&long).is_none());
    }
}
