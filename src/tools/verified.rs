//! Access tokens whose signature was found good lately, so that it need not be checked at each request: that takes three
//! times as long as all else that a small query needs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ring::digest::{SHA256, digest};

use crate::tools::token::Claims;

/// How many tokens are remembered at least, once there were so many; twice as many at most (about 32 MiB).
const MANY: usize = 32_768;

/// What tokens say that the keys of one ring signed. Whether they still hold is asked each time: a token is known here by
/// its digest alone, and forgotten with its ring.
#[derive(Default)]
pub(super) struct Verified(Mutex<Ages>);

/// Where the young are too many, they become old, and those who were old are forgotten unless they came again meanwhile.
#[derive(Default)]
struct Ages {
    young: HashMap<Digest, Arc<Claims>>,
    old: HashMap<Digest, Arc<Claims>>,
}

type Digest = [u8; 32];

impl Verified {
    /// What this very token says, where it is remembered.
    pub(super) fn get(&self, token: &str) -> Option<Arc<Claims>> {
        let key = key(token);
        let mut ages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(claims) = ages.young.get(&key) {
            return Some(Arc::clone(claims));
        }
        let claims = ages.old.remove(&key)?;
        ages.insert(key, Arc::clone(&claims));
        Some(claims)
    }

    /// Remembers what a token says.
    pub(super) fn insert(&self, token: &str, claims: Arc<Claims>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key(token), claims);
    }
}

impl Ages {
    fn insert(&mut self, key: Digest, claims: Arc<Claims>) {
        if self.young.len() >= MANY {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, claims);
    }
}

fn key(token: &str) -> Digest {
    digest(&SHA256, token.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn claims(jti: u128) -> Arc<Claims> {
        Arc::new(Claims {
            iss: String::new(),
            aud: String::new(),
            sub: Uuid::nil(),
            sid: Uuid::nil(),
            jti: Uuid::from_u128(jti),
            generation: 0,
            iat: 0,
            exp: 0,
            nbf: None,
            role: String::new(),
            permission: String::new(),
            staff: false,
            superuser: false,
        })
    }

    #[test]
    fn a_token_that_comes_again_stays_and_others_are_forgotten_in_time() {
        let verified = Verified::default();
        verified.insert("mine", claims(1));
        verified.insert("left", claims(2));
        let many = u128::try_from(MANY).unwrap();
        for number in 0..3 * many {
            verified.insert(&number.to_string(), claims(number));
            if number % 1000 == 0 {
                assert_eq!(verified.get("mine"), Some(claims(1)));
            }
        }
        assert_eq!(verified.get("left"), None);
        assert_eq!(verified.get(&(3 * many - 1).to_string()), Some(claims(3 * many - 1)));
        let ages = verified.0.lock().unwrap();
        assert!(ages.young.len() + ages.old.len() <= 2 * MANY);
    }
}
