//! A cache with a memory bound.

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync;

/// Values by key, each with a size. Values in use stay; others are evicted once the capacity is reached.
pub struct Cache<K, V>(sync::Cache<K, Entry<V>, BySize>);

struct Entry<V> {
    value: Arc<V>,
    size: u64,
}

impl<V> Clone for Entry<V> {
    fn clone(&self) -> Self {
        Self { value: Arc::clone(&self.value), size: self.size }
    }
}

#[derive(Clone)]
struct BySize;

impl<K, V> Weighter<K, Entry<V>> for BySize {
    fn weight(&self, _: &K, entry: &Entry<V>) -> u64 {
        entry.size
    }
}

impl<K: Eq + Hash, V> Cache<K, V> {
    /// A cache with this capacity, in the unit of the sizes, for about this number of values.
    pub fn new(values: usize, capacity: usize) -> Self {
        Self(sync::Cache::with_weighter(values, capacity as u64, BySize))
    }

    /// The cached value of this key.
    pub fn get<Q>(&self, key: &Q) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.0.get(key).map(|entry| entry.value)
    }

    /// Caches a value of this size. One that is larger than a share of the capacity is not kept.
    pub fn insert(&self, key: K, value: Arc<V>, size: usize) {
        self.0.insert(key, Entry { value, size: size as u64 });
    }
}

impl<K, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cache(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_in_use_stay_and_others_are_evicted() {
        let cache = Cache::new(100, 1000);
        cache.insert("mine".to_owned(), Arc::new(1), 10);
        for number in 0..3000 {
            cache.insert(number.to_string(), Arc::new(number), 1 + number % 7);
            assert_eq!(cache.get("mine"), Some(Arc::new(1)));
            assert!(cache.0.weight() <= 1000);
        }
        assert!(cache.0.len() < 1000, "most are evicted");
    }

    #[test]
    fn replacing_a_value_frees_its_room() {
        let cache = Cache::new(10, 1000);
        for value in 0..1000 {
            cache.insert("one", Arc::new(value), 10);
            assert_eq!(cache.get("one"), Some(Arc::new(value)));
        }
        assert_eq!((cache.0.len(), cache.0.weight()), (1, 10));
    }
}
