//! Limits on what exists at a time (connections, uploads, bytes of responses), in total and per client or user.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::tools::metrics::Gauge;
use crate::tools::network::Networks;

/// Limit in total and per owner.
#[derive(Debug)]
pub(crate) struct ConcurrencyLimit {
    most: u32,
    most_of_owner: u32,
    taken: Arc<Mutex<Taken>>,
    gauge: Gauge,
}

#[derive(Debug, Default)]
struct Taken {
    all: u32,
    by_name: HashMap<String, u32>,
}

/// A permit, released on drop.
#[derive(Debug)]
pub(crate) struct Permit {
    owner: Option<Owner>,
    amount: u32,
    taken: Arc<Mutex<Taken>>,
    gauge: Gauge,
}

/// Owner of permits: the names under which they are counted, each with a factor of the limit.
#[derive(Clone, Debug)]
pub(crate) struct Owner(Vec<(String, u32)>);

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
    pub(crate) fn at(mut self, networks: &Networks, factor: u32) -> Self {
        self.0.extend(networks.each().map(|(network, own)| (network.to_owned(), own * factor)));
        self
    }
}

/// Exceeded limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// The limit in total.
    All,
    /// The limit of the owner.
    Client,
}

impl ConcurrencyLimit {
    /// A limit in total and per owner. The gauge shows the number of permits.
    pub(crate) fn new(most: u32, most_of_owner: u32, gauge: Gauge) -> Self {
        Self { most, most_of_owner, taken: Arc::default(), gauge }
    }

    /// Takes a permit for an owner, which counts under each of its names. Without an owner only the total counts.
    ///
    /// # Errors
    /// The exceeded limit.
    pub(crate) fn take(&self, owner: Option<Owner>) -> Result<Permit, Full> {
        self.admit(owner, 1, 0)
    }

    /// Takes this number of permits for an owner, released together.
    ///
    /// # Errors
    /// The exceeded limit.
    pub(crate) fn take_many(&self, owner: Option<Owner>, amount: u32) -> Result<Permit, Full> {
        self.admit(owner, amount, 0)
    }

    /// Takes a permit for an owner, if this number of further permits stays free.
    ///
    /// # Errors
    /// The exceeded limit.
    pub(crate) fn take_beside(&self, owner: Option<Owner>, reserved: u32) -> Result<Permit, Full> {
        self.admit(owner, 1, reserved)
    }

    fn admit(&self, owner: Option<Owner>, amount: u32, reserved: u32) -> Result<Permit, Full> {
        let mut taken = lock(&self.taken);
        if taken.all.saturating_add(reserved).saturating_add(amount) > self.most {
            return Err(Full::All);
        }
        if let Some(Owner(names)) = &owner {
            let is_full = |(name, factor): &(String, u32)| {
                let own = taken.by_name.get(name).copied().unwrap_or_default();
                own.saturating_add(amount) > self.most_of_owner.saturating_mul(*factor)
            };
            if names.iter().any(is_full) {
                return Err(Full::Client);
            }
            for (name, _) in names {
                *taken.by_name.entry(name.clone()).or_default() += amount;
            }
        }
        taken.all += amount;
        drop(taken);
        self.gauge.inc_by(amount.into());
        Ok(Permit { owner, amount, taken: Arc::clone(&self.taken), gauge: self.gauge.clone() })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gauge.dec_by(self.amount.into());
        let mut taken = lock(&self.taken);
        taken.all = taken.all.saturating_sub(self.amount);
        if let Some(Owner(names)) = self.owner.take() {
            for (name, _) in names {
                let own = taken.by_name.remove(&name).unwrap_or_default();
                if own > self.amount {
                    taken.by_name.insert(name, own - self.amount);
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
        let limit = ConcurrencyLimit::new(3, 2, gauge.clone());
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
        let limit = ConcurrencyLimit::new(1000, 2, Gauge::default());
        let take = |subnet: u32| limit.take(Some(Networks::of_text(Some(&format!("2001:db8:1:{subnet:x}::1"))).into()));
        let taken: Vec<_> = (0..20).flat_map(|subnet| [take(subnet), take(subnet), take(subnet)]).collect();
        assert_eq!(taken.iter().filter(|permit| permit.is_ok()).count(), 16);
        assert!(limit.take(Some(Networks::of_text(Some("2001:db8:2::1")).into())).is_ok());
        drop(taken);
        assert!(lock(&limit.taken).by_name.is_empty());
    }

    #[test]
    fn permits_taken_together_are_released_together() {
        let gauge = Gauge::default();
        let limit = ConcurrencyLimit::new(10, 6, gauge.clone());
        let take = |client: &str, amount| limit.take_many(Some(Networks::of_text(Some(client)).into()), amount);
        let (one, other) = (take("192.0.2.1", 4).ok(), take("192.0.2.2", 5).ok());
        assert!(one.is_some() && other.is_some());
        assert_eq!(take("192.0.2.1", 3).err(), Some(Full::All));
        drop(other);
        assert_eq!(take("192.0.2.1", 3).err(), Some(Full::Client));
        assert_eq!(gauge.get(), 4);
        drop(one);
        assert!(take("192.0.2.1", 6).is_ok());
        assert_eq!((gauge.get(), lock(&limit.taken).by_name.len()), (0, 0));
    }

    #[test]
    fn without_an_owner_only_the_total_counts() {
        let limit = ConcurrencyLimit::new(3, 1, Gauge::default());
        let taken: Vec<_> = (0..3).map(|_| limit.take(None).ok()).collect();
        assert!(taken.iter().all(Option::is_some));
        assert_eq!(limit.take(None).err(), Some(Full::All));
        drop(taken);
        assert!(limit.take(None).is_ok());
    }
}
