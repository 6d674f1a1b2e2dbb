//! How many connections there may be, in all and of each client.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::config::SocketConfig;
use crate::error::{Error, Result};

/// After what time a client may try again; nobody knows when another connection ends.
const WAIT: Duration = Duration::from_secs(10);

/// The places for connections.
pub(in crate::http) struct Places {
    most: SocketConfig,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    all: u32,
    by_client: HashMap<String, u32>,
}

/// A place that is taken, until this is dropped.
pub(super) struct Place {
    client: String,
    taken: Arc<Mutex<Taken>>,
}

impl Places {
    /// So many places.
    pub(in crate::http) fn new(most: SocketConfig) -> Self {
        Self { most, taken: Arc::default() }
    }

    /// Takes a place for this client.
    ///
    /// # Errors
    /// [`Error::RateLimited`] where the client has as many as one may have, [`Error::Unavailable`] where all are taken.
    pub(super) fn take(&self, client: String) -> Result<Place> {
        let mut taken = lock(&self.taken);
        if taken.all >= self.most.sockets {
            tracing::warn!(taken.all, "all connections that VESTIBULE_SOCKETS allows are taken");
            return Err(Error::Unavailable(WAIT));
        }
        let own = taken.by_client.get(&client).copied().unwrap_or_default();
        if own >= self.most.sockets_per_client {
            return Err(Error::RateLimited(WAIT));
        }
        taken.by_client.insert(client.clone(), own + 1);
        taken.all += 1;
        drop(taken);
        Ok(Place { client, taken: Arc::clone(&self.taken) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        taken.all = taken.all.saturating_sub(1);
        let own = taken.by_client.remove(&self.client).unwrap_or_default();
        if own > 1 {
            taken.by_client.insert(std::mem::take(&mut self.client), own - 1);
        }
    }
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_back() {
        let places = Places::new(SocketConfig { sockets: 3, sockets_per_client: 2 });
        let take = |client: &str| places.take(client.to_owned());
        let (one, two) = (take("a").ok(), take("a").ok());
        assert!(one.is_some() && two.is_some());
        assert!(matches!(take("a"), Err(Error::RateLimited(_))));
        let other = take("b").ok();
        assert!(other.is_some());
        assert!(matches!(take("c"), Err(Error::Unavailable(_))));
        drop(one);
        assert!(take("a").is_ok());
        drop((two, other));
        assert!(lock(&places.taken).by_client.is_empty());
    }
}
