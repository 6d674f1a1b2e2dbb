//! Limits on concurrent connections and uploads, in total and per client or user.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::tools::metrics::Gauge;
use crate::tools::network::Networks;

/// Limit in total and per owner.
pub(in crate::http) struct ConnectionLimit {
    most: u32,
    most_of_owner: u32,
    taken: Arc<Mutex<Taken>>,
    gauge: Gauge,
}

#[derive(Default)]
struct Taken {
    all: u32,
    by_name: HashMap<String, u32>,
}

/// A permit, released on drop.
pub(in crate::http) struct Permit {
    owner: Option<Owner>,
    taken: Arc<Mutex<Taken>>,
    gauge: Gauge,
}

/// Owner of permits: the names under which they are counted, each with a factor of the limit.
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

impl Owner {
    /// The same owner, also counted by these networks, with this factor of the limit.
    pub(in crate::http) fn at(mut self, networks: &Networks, factor: u32) -> Self {
        self.0.extend(networks.each().map(|(network, own)| (network.to_owned(), own * factor)));
        self
    }
}

/// Exceeded limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Full {
    /// The limit in total.
    All,
    /// The limit of the owner.
    Client,
}

impl ConnectionLimit {
    /// A limit in total and per owner. The gauge shows the number of permits.
    pub(in crate::http) fn new(most: u32, most_of_owner: u32, gauge: Gauge) -> Self {
        Self { most, most_of_owner, taken: Arc::default(), gauge }
    }

    /// Takes a permit for an owner, which counts under each of its names. Without an owner only the total counts.
    ///
    /// # Errors
    /// The exceeded limit.
    pub(in crate::http) fn take(&self, owner: Option<Owner>) -> Result<Permit, Full> {
        self.take_beside(owner, 0)
    }

    /// Takes a permit for an owner, if this number of further permits stays free.
    ///
    /// # Errors
    /// The exceeded limit.
    pub(in crate::http) fn take_beside(&self, owner: Option<Owner>, reserved: u32) -> Result<Permit, Full> {
        let mut taken = lock(&self.taken);
        if taken.all.saturating_add(reserved) >= self.most {
            return Err(Full::All);
        }
        if let Some(Owner(names)) = &owner {
            let is_full = |(name, factor): &(String, u32)| {
                let own = taken.by_name.get(name).copied().unwrap_or_default();
                own >= self.most_of_owner.saturating_mul(*factor)
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
    fn permits_are_released() {
        let gauge = Gauge::default();
        let limit = ConnectionLimit::new(3, 2, gauge.clone());
        let take = |client: &str| limit.take(Some(Networks::of_text(Some(client)).into()));
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
        assert!(lock(&limit.taken).by_name.is_empty());
        assert_eq!(gauge.get(), 0);
    }

    #[test]
    fn a_site_of_many_subnets_has_a_larger_share() {
        let limit = ConnectionLimit::new(1000, 2, Gauge::default());
        let take = |subnet: u32| limit.take(Some(Networks::of_text(Some(&format!("2001:db8:1:{subnet:x}::1"))).into()));
        let taken: Vec<_> = (0..20).flat_map(|subnet| [take(subnet), take(subnet), take(subnet)]).collect();
        assert_eq!(taken.iter().filter(|permit| permit.is_ok()).count(), 16);
        assert!(limit.take(Some(Networks::of_text(Some("2001:db8:2::1")).into())).is_ok());
        drop(taken);
        assert!(lock(&limit.taken).by_name.is_empty());
    }

    #[test]
    fn without_an_owner_only_the_total_counts() {
        let limit = ConnectionLimit::new(3, 1, Gauge::default());
        let taken: Vec<_> = (0..3).map(|_| limit.take(None).ok()).collect();
        assert!(taken.iter().all(Option::is_some));
        assert_eq!(limit.take(None).err(), Some(Full::All));
        drop(taken);
        assert!(limit.take(None).is_ok());
    }
}
