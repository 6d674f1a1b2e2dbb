//! How many of something there may be at once, in all and of each client: connections, and those by WebSocket.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::tools::metrics::Gauge;
use crate::tools::network::Networks;

/// Places for so many.
pub(in crate::http) struct ConnectionLimit {
    most: u32,
    most_of_client: u32,
    taken: Arc<Mutex<Taken>>,
    gauge: Gauge,
}

#[derive(Default)]
struct Taken {
    all: u32,
    by_name: HashMap<String, u32>,
}

/// A place that is taken, until this is dropped.
pub(in crate::http) struct Permit {
    owner: Option<Owner>,
    taken: Arc<Mutex<Taken>>,
    gauge: Gauge,
}

/// The owner of places: the names that they are counted under, each with the factor of its share.
#[derive(Clone, Debug)]
pub(in crate::http) struct Owner(Vec<(String, u32)>);

impl From<Networks> for Owner {
    fn from(networks: Networks) -> Self {
        Self(networks.each().map(|(network, factor)| (network.to_owned(), factor)).collect())
    }
}

impl From<uuid::Uuid> for Owner {
    fn from(user: uuid::Uuid) -> Self {
        Self(vec![(user.to_string(), 1)])
    }
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Full {
    /// All are taken.
    All,
    /// The client has as many as one may have.
    Client,
}

impl ConnectionLimit {
    /// So many places in all, and so many for each client; the gauge shows how many are taken.
    pub(in crate::http) fn new(most: u32, most_of_client: u32, gauge: Gauge) -> Self {
        Self { most, most_of_client, taken: Arc::default(), gauge }
    }

    /// Takes a place for this client, in each of its networks, or for this user; without an owner, for somebody of whom it is not counted.
    ///
    /// # Errors
    /// What there is no place left of.
    pub(in crate::http) fn take(&self, owner: Option<Owner>) -> Result<Permit, Full> {
        let mut taken = lock(&self.taken);
        if taken.all >= self.most {
            return Err(Full::All);
        }
        if let Some(Owner(names)) = &owner {
            let is_full = |(name, factor): &(String, u32)| {
                let own = taken.by_name.get(name).copied().unwrap_or_default();
                own >= self.most_of_client.saturating_mul(*factor)
            };
            if names.iter().any(is_full) {
                return Err(Full::Client);
            }
            for (name, _) in names {
                *taken.by_name.entry(name.clone()).or_default() += 1;
            }
        }
        taken.all += 1;
        drop(taken);
        self.gauge.inc();
        Ok(Permit { owner, taken: Arc::clone(&self.taken), gauge: self.gauge.clone() })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gauge.dec();
        let mut taken = lock(&self.taken);
        taken.all = taken.all.saturating_sub(1);
        if let Some(Owner(names)) = self.owner.take() {
            for (name, _) in names {
                let own = taken.by_name.remove(&name).unwrap_or_default();
                if own > 1 {
                    taken.by_name.insert(name, own - 1);
                }
            }
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
        let gauge = Gauge::default();
        let places = ConnectionLimit::new(3, 2, gauge.clone());
        let take = |client: &str| places.take(Some(Networks::of_text(Some(client)).into()));
        let (one, two) = (take("192.0.2.1").ok(), take("192.0.2.1").ok());
        assert!(one.is_some() && two.is_some());
        assert_eq!(take("192.0.2.1").err(), Some(Full::Client));
        let other = take("192.0.2.2").ok();
        assert!(other.is_some());
        assert_eq!(take("192.0.2.3").err(), Some(Full::All));
        assert_eq!(gauge.get(), 3);
        drop(one);
        assert!(take("192.0.2.1").is_ok());
        drop((two, other));
        assert!(lock(&places.taken).by_name.is_empty());
        assert_eq!(gauge.get(), 0);
    }

    #[test]
    fn a_site_of_many_subnets_has_a_larger_share() {
        let places = ConnectionLimit::new(1000, 2, Gauge::default());
        let take =
            |subnet: u32| places.take(Some(Networks::of_text(Some(&format!("2001:db8:1:{subnet:x}::1"))).into()));
        let taken: Vec<_> = (0..20).flat_map(|subnet| [take(subnet), take(subnet), take(subnet)]).collect();
        assert_eq!(taken.iter().filter(|place| place.is_ok()).count(), 16);
        assert!(places.take(Some(Networks::of_text(Some("2001:db8:2::1")).into())).is_ok());
        drop(taken);
        assert!(lock(&places.taken).by_name.is_empty());
    }

    #[test]
    fn of_whom_it_is_not_counted_there_may_be_as_many_as_in_all() {
        let places = ConnectionLimit::new(3, 1, Gauge::default());
        let taken: Vec<_> = (0..3).map(|_| places.take(None).ok()).collect();
        assert!(taken.iter().all(Option::is_some));
        assert_eq!(places.take(None).err(), Some(Full::All));
        drop(taken);
        assert!(places.take(None).is_ok());
    }
}
