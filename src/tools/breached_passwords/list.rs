//! A file with the hashes of breached passwords, in a compact form. A lookup is two short reads.
//!
//! The first bits of a hash select one of 2^P buckets, and its next 16 bits are stored there; the rest is dropped. A
//! bucket has 64 entries on average at most, so a password that is not in the list matches with a probability of 1/1024
//! at most. A hash of the list always matches.
//!
//! | bytes | content, numbers in big-endian order |
//! |---|---|
//! | 8 | `VESTBRCH` |
//! | 2 | version of the format, 1 |
//! | 2 | P |
//! | 4 | number of hashes |
//! | 4 | CRC-32 of the index and the entries |
//! | 4 | CRC-32 of the header up to here |
//! | 4 · (2^P + 1) | index: number of entries before each bucket, and the number of all |
//! | 2 · number | entries, sorted |

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::PasswordSha1;
use crate::tools::io_error;

const MAGIC: [u8; 8] = *b"VESTBRCH";

const VERSION: u16 = 1;

/// Length of the header in bytes.
pub(super) const HEADER_BYTES: usize = 24;

/// Maximum average number of entries in a bucket.
const MAX_AVERAGE: u64 = 64;

/// Maximum number of bits that select a bucket, which are enough for 2^32 hashes.
const MAX_BUCKET_BITS: u16 = 26;

/// Maximum number of entries in one bucket. SHA-1 never comes near it; a damaged index would exceed it.
pub(super) const MAX_IN_BUCKET: u32 = 1024;

/// Bytes that are read at once to compute the checksum.
const CHUNK: usize = 1 << 20;

/// An open list. It stays usable if its file is replaced by another one of the same name.
#[derive(Debug)]
pub struct BreachedList {
    file: File,
    header: Header,
}

/// Header of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Number of bits that select a bucket.
    pub(super) bucket_bits: u16,
    /// Number of hashes.
    pub(super) hashes: u32,
    /// CRC-32 of all that follows the header.
    pub(super) checksum: u32,
}

/// Position of a hash in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// Number of the bucket.
    pub(super) bucket: u64,
    /// Stored part of the hash.
    pub(super) entry: [u8; 2],
}

impl Slot {
    /// The position of a hash with these first bytes.
    pub(super) fn of(start: [u8; 8], bucket_bits: u16) -> Self {
        let bits = u64::from_be_bytes(start);
        let [high, low, ..] = (bits << bucket_bits).to_be_bytes();
        Self { bucket: bits.checked_shr(64 - u32::from(bucket_bits)).unwrap_or(0), entry: [high, low] }
    }
}

impl Header {
    /// The smallest number of bits with which buckets have [`MAX_AVERAGE`] entries on average at most.
    pub(super) fn bucket_bits(hashes: u32) -> u16 {
        let is_enough = |bits: &u16| u64::from(hashes) <= MAX_AVERAGE << bits;
        (0..MAX_BUCKET_BITS).find(is_enough).unwrap_or(MAX_BUCKET_BITS)
    }

    pub(super) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_be_bytes());
        bytes[10..12].copy_from_slice(&self.bucket_bits.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.hashes.to_be_bytes());
        bytes[16..20].copy_from_slice(&self.checksum.to_be_bytes());
        let checksum = crc32fast::hash(&bytes[..20]);
        bytes[20..].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    fn parse(bytes: [u8; HEADER_BYTES]) -> Result<Self, String> {
        let short = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let long = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        if bytes[..8] != MAGIC {
            return Err(FOREIGN.to_owned());
        }
        if short(8) != VERSION {
            return Err(format!("the list has format {}, but this version reads format {VERSION}. {BUILD}", short(8)));
        }
        if long(20) != crc32fast::hash(&bytes[..20]) {
            return Err(damaged("its header has changed"));
        }
        let header = Self { bucket_bits: short(10), hashes: long(12), checksum: long(16) };
        // Other values are never written.
        if header.bucket_bits != Self::bucket_bits(header.hashes) {
            return Err(damaged("its header is inconsistent"));
        }
        Ok(header)
    }

    /// Position of the first entry in the file.
    fn entries_start(self) -> u64 {
        HEADER_BYTES as u64 + 4 * ((1_u64 << self.bucket_bits) + 1)
    }

    /// Length of the file in bytes.
    pub(super) fn file_bytes(self) -> u64 {
        self.entries_start() + 2 * u64::from(self.hashes)
    }
}

const BUILD: &str = "Build it with `vestibule breached-passwords build`";

const FOREIGN: &str = "this is not a list of breached passwords. Build it with `vestibule breached-passwords build`";

fn damaged(problem: &str) -> String {
    format!("the list is damaged: {problem}. Copy or build it again")
}

impl BreachedList {
    /// Opens a list. Checks its header and its length, but not its checksum: see [`Self::verify`].
    ///
    /// # Errors
    /// A sentence that says what is wrong with the file.
    pub fn open(path: &Path) -> Result<Self, String> {
        let failed = |error: io::Error| io_error::describe(&error);
        if path.is_dir() {
            return Err(FOREIGN.to_owned());
        }
        Self::from_file(File::open(path).map_err(failed)?)
    }

    /// The list in this file.
    pub(crate) fn from_file(file: File) -> Result<Self, String> {
        let failed = |error: io::Error| io_error::describe(&error);
        let length = file.metadata().map_err(failed)?.len();
        if length < HEADER_BYTES as u64 {
            return Err(FOREIGN.to_owned());
        }
        let mut bytes = [0; HEADER_BYTES];
        file.read_exact_at(&mut bytes, 0).map_err(failed)?;
        let header = Header::parse(bytes)?;
        match header.file_bytes() {
            expected if expected == length => Ok(Self { file, header }),
            expected => Err(damaged(&format!("it has {length} bytes instead of {expected}"))),
        }
    }

    /// Number of hashes.
    pub fn hashes(&self) -> u32 {
        self.header.hashes
    }

    /// True if the list has this hash, or with a probability of 1/1024 at most if it does not.
    ///
    /// # Errors
    /// The file cannot be read, or its index is damaged.
    pub fn contains(&self, hash: PasswordSha1) -> io::Result<bool> {
        let start = hash.0.first_chunk().expect("a hash has 20 bytes");
        let slot = Slot::of(*start, self.header.bucket_bits);
        let mut bounds = [[0; 4]; 2];
        self.file.read_exact_at(bounds.as_flattened_mut(), HEADER_BYTES as u64 + 4 * slot.bucket)?;
        let [from, to] = bounds.map(u32::from_be_bytes);
        let length = to.checked_sub(from).filter(|length| *length <= MAX_IN_BUCKET && to <= self.header.hashes);
        let length = length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, damaged("its index is wrong")))?;
        let mut entries = vec![[0; 2]; length as usize];
        self.file.read_exact_at(entries.as_flattened_mut(), self.header.entries_start() + 2 * u64::from(from))?;
        Ok(entries.contains(&slot.entry))
    }

    /// Reads the whole file and compares its checksum.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the file.
    pub fn verify(&self) -> Result<(), String> {
        let mut checksum = crc32fast::Hasher::new();
        let mut chunk = vec![0; CHUNK];
        let (mut at, end) = (HEADER_BYTES as u64, self.header.file_bytes());
        while at < end {
            let length = usize::try_from(end - at).map_or(CHUNK, |left| left.min(CHUNK));
            let part = &mut chunk[..length];
            self.file.read_exact_at(part, at).map_err(|error| io_error::describe(&error))?;
            checksum.update(part);
            at += length as u64;
        }
        match checksum.finalize() == self.header.checksum {
            true => Ok(()),
            false => Err(damaged("its checksum is wrong")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::fs;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;
    use crate::tools::breached_passwords::build;
    use crate::tools::password::Password;

    /// A list of these hashes, and its directory.
    fn list_of(hashes: &[[u8; 20]]) -> (TempDir, BreachedList) {
        let mut sorted = hashes.to_vec();
        sorted.sort_unstable();
        let mut text = String::new();
        for hash in sorted {
            writeln!(text, "{}:1", PasswordSha1(hash).to_hex()).unwrap();
        }
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("list");
        build(text.as_bytes(), &path, 1).unwrap();
        let list = BreachedList::open(&path).unwrap();
        list.verify().unwrap();
        (folder, list)
    }

    /// The hashes of these numbers.
    fn hashes(numbers: std::ops::Range<u32>) -> Vec<[u8; 20]> {
        numbers.map(|number| PasswordSha1::of(&Password::new(&number.to_string())).0).collect()
    }

    proptest! {
        #[test]
        fn every_hash_of_the_list_is_found(hashes in prop::collection::vec(any::<[u8; 20]>(), 0..300)) {
            let (_folder, list) = list_of(&hashes);
            for hash in hashes {
                prop_assert!(list.contains(PasswordSha1(hash)).unwrap());
            }
        }

        #[test]
        fn a_position_has_the_first_bits_of_the_hash(start: [u8; 8], bucket_bits in 0..=MAX_BUCKET_BITS) {
            let slot = Slot::of(start, bucket_bits);
            let bits = |from: u32, number: u32| {
                (from..from + number).fold(0, |all, at| (all << 1) | ((u64::from_be_bytes(start) >> (63 - at)) & 1))
            };
            prop_assert_eq!(slot.bucket, bits(0, bucket_bits.into()));
            prop_assert_eq!(u64::from(u16::from_be_bytes(slot.entry)), bits(bucket_bits.into(), 16));
        }
    }

    #[test]
    fn other_hashes_are_found_less_often_than_documented() {
        // The largest number for its buckets: 64 entries each.
        const LISTED: u32 = 64 << 9;
        let (_folder, list) = list_of(&hashes(0..LISTED));
        assert_eq!(list.header.bucket_bits, 9);
        let found = |numbers| {
            let hashes = hashes(numbers).into_iter();
            hashes.filter(|hash| list.contains(PasswordSha1(*hash)).unwrap()).count()
        };
        assert_eq!(found(0..LISTED), LISTED as usize);
        // 195 are expected of 200,000, and 42 more are three standard deviations.
        let others = found(LISTED..LISTED + 200_000);
        assert!(others < 195 + 42, "{others}");
    }

    #[test]
    fn buckets_have_64_entries_on_average_at_most() {
        for (hashes, bucket_bits) in
            [(0, 0), (1, 0), (64, 0), (65, 1), (128, 1), (129, 2), (1 << 30, 24), (u32::MAX, 26)]
        {
            assert_eq!(Header::bucket_bits(hashes), bucket_bits, "{hashes}");
        }
    }

    #[test]
    fn a_truncated_foreign_or_changed_file_is_refused() {
        let (folder, list) = list_of(&hashes(0..500));
        let good = fs::read(folder.path().join("list")).unwrap();
        assert_eq!(good.len() as u64, list.header.file_bytes());
        let problem = |bytes: &[u8]| {
            let path = folder.path().join("bad");
            fs::write(&path, bytes).unwrap();
            BreachedList::open(&path).and_then(|list| list.verify()).err()
        };
        assert_eq!(problem(&good), None);
        for length in [0, 1, HEADER_BYTES - 1] {
            assert_eq!(problem(&good[..length]).as_deref(), Some(FOREIGN));
        }
        for length in [HEADER_BYTES, HEADER_BYTES + 7, good.len() - 1] {
            let found = problem(&good[..length]).unwrap();
            assert!(found.starts_with(&format!("the list is damaged: it has {length} bytes instead of")), "{found}");
        }
        assert!(problem(&[&good[..], b"\0"].concat()).unwrap().contains("bytes instead of"));
        for at in 0..good.len() {
            let mut bent = good.clone();
            bent[at] ^= 1 << (at % 8);
            assert!(problem(&bent).is_some(), "a changed bit of byte {at}");
        }
        assert_eq!(problem("5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8:1\n".as_bytes()).as_deref(), Some(FOREIGN));
        assert_eq!(BreachedList::open(folder.path()).unwrap_err(), FOREIGN);
        assert!(BreachedList::open(&folder.path().join("none")).unwrap_err().contains("not found"));
        let mut newer = good.clone();
        newer[9] = 2;
        assert!(problem(&newer).unwrap().starts_with("the list has format 2, but this version reads format 1."));
    }

    #[test]
    fn a_damaged_index_is_an_error_and_no_long_read() {
        let (folder, list) = list_of(&hashes(0..500));
        let path = folder.path().join("list");
        let mut bytes = fs::read(&path).unwrap();
        let entries = usize::try_from(list.header.entries_start()).unwrap();
        bytes[HEADER_BYTES..entries].fill(0xff);
        fs::write(&path, bytes).unwrap();
        let list = BreachedList::open(&path).unwrap();
        assert_eq!(list.contains(PasswordSha1([7; 20])).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
