//! What is worth remembering as long as there is room for it.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// Values by their keys. What comes again stays, and the rest is forgotten in time.
#[derive(Debug)]
pub struct Cache<K, V> {
    room: usize,
    ages: Mutex<Ages<K, V>>,
}

/// Where the young take up the room, they become the old, and those who were old are forgotten unless they came again
/// meanwhile.
#[derive(Debug)]
struct Ages<K, V> {
    taken: usize,
    young: HashMap<K, Kept<V>>,
    old: HashMap<K, Kept<V>>,
}

#[derive(Debug)]
struct Kept<V> {
    value: Arc<V>,
    size: usize,
}

impl<K: Eq + Hash, V> Cache<K, V> {
    /// Room for so much, by whatever measure sizes are given in. Twice as much may be held for a while.
    pub fn new(room: usize) -> Self {
        Self { room, ages: Mutex::new(Ages { taken: 0, young: HashMap::new(), old: HashMap::new() }) }
    }

    /// The value of this key, where it is remembered.
    pub fn get<Q>(&self, key: &Q) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let mut ages = self.ages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = ages.young.get(key) {
            return Some(Arc::clone(&kept.value));
        }
        let (key, kept) = ages.old.remove_entry(key)?;
        let value = Arc::clone(&kept.value);
        ages.insert(self.room, key, kept);
        Some(value)
    }

    /// Remembers a value of this size.
    pub fn insert(&self, key: K, value: Arc<V>, size: usize) {
        self.ages.lock().unwrap_or_else(PoisonError::into_inner).insert(self.room, key, Kept { value, size });
    }
}

impl<K: Eq + Hash, V> Ages<K, V> {
    fn insert(&mut self, room: usize, key: K, kept: Kept<V>) {
        if self.taken.saturating_add(kept.size) > room {
            self.old = std::mem::take(&mut self.young);
            self.taken = 0;
        }
        self.taken += kept.size;
        if let Some(before) = self.young.insert(key, kept) {
            self.taken -= before.size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_again_stays_and_the_rest_is_forgotten_in_time() {
        let remembered = Cache::new(100);
        remembered.insert("mine".to_owned(), Arc::new(1), 10);
        remembered.insert("left".to_owned(), Arc::new(2), 10);
        for number in 0..300 {
            remembered.insert(number.to_string(), Arc::new(number), 1 + number % 7);
            assert_eq!(remembered.get("mine"), Some(Arc::new(1)));
            let ages = remembered.ages.lock().unwrap();
            let size = |kept: &HashMap<String, Kept<usize>>| kept.values().map(|kept| kept.size).sum::<usize>();
            assert_eq!(ages.taken, size(&ages.young));
            assert!(ages.taken <= 100 && size(&ages.old) <= 100);
        }
        assert_eq!(remembered.get("left"), None);
        assert_eq!(remembered.get("299"), Some(Arc::new(299)));
    }

    #[test]
    fn the_same_key_again_takes_no_more_room() {
        let remembered = Cache::new(100);
        for value in 0..1000 {
            remembered.insert("one", Arc::new(value), 60);
            assert_eq!(remembered.get("one"), Some(Arc::new(value)));
        }
        assert_eq!(remembered.ages.lock().unwrap().taken, 60);
    }
}
