//! What fuzzing feeds with bytes of any kind: everything that reads what strangers send. Compiled for tests and for
//! fuzzing alone; the service knows nothing of it.
//!
//! A target is given bytes and panics where something does not hold that must hold whatever they are; most assert more
//! than that nothing panics by itself. The tests below run each on a few hundred inputs, `fuzz/run` on as many as there is
//! time for.

use crate::{domain, graphql, http, tools};

/// Something to feed.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// What it is called, in `fuzz/fuzz_targets/` too.
    pub name: &'static str,
    /// Reads the bytes.
    pub run: fn(&[u8]),
    /// Inputs that lead to where most of the work is done, for others to be made from.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All there are.
pub const TARGETS: [Target; 18] = [
    tools::fuzzing::ACCESS_TOKEN,
    tools::fuzzing::REFRESH_TOKEN,
    tools::fuzzing::API_TOKEN,
    tools::fuzzing::DJANGO_HASH,
    tools::fuzzing::IDENTIFIER,
    tools::fuzzing::SHEET,
    tools::fuzzing::PICTURE,
    domain::fuzzing::CURSOR,
    domain::fuzzing::DUMP,
    domain::fuzzing::MAPPING,
    graphql::fuzzing::DOCUMENT,
    graphql::fuzzing::SCHEMA,
    http::fuzzing::JSON,
    http::fuzzing::ENVELOPE,
    http::fuzzing::MULTIPART,
    http::fuzzing::MESSAGE,
    http::fuzzing::ADDRESS,
    http::fuzzing::MEDIA,
];

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    /// What becomes of a seed: a byte is set, bytes go, or bytes come in, of another seed or of those that mean something
    /// in most formats.
    #[derive(Clone, Debug)]
    enum Change {
        Set(Index, u8),
        Drop(Index, Index),
        Insert(Index, Vec<u8>),
        Splice(Index, Index, Index),
    }

    fn change() -> impl Strategy<Value = Change> {
        let signs = prop::sample::select(b"\"'\\{}[]()<>:;,.=&%#@!-_+*/ \t\r\n\0\x7f\xff\xc3".to_vec());
        prop_oneof![
            (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
            (any::<Index>(), signs).prop_map(|(at, byte)| Change::Set(at, byte)),
            (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Change::Drop(from, to)),
            (any::<Index>(), prop::collection::vec(any::<u8>(), 1..9)).prop_map(|(at, more)| Change::Insert(at, more)),
            (any::<Index>(), "\\PC{1,4}").prop_map(|(at, more)| Change::Insert(at, more.into_bytes())),
            (any::<Index>(), any::<Index>(), any::<Index>())
                .prop_map(|(at, seed, from)| Change::Splice(at, seed, from)),
        ]
    }

    fn changed(seeds: &[Vec<u8>], seed: Index, changes: Vec<Change>) -> Vec<u8> {
        let mut bytes = seed.get(seeds).clone();
        for change in changes {
            let at = |index: &Index| index.index(bytes.len() + 1);
            match change {
                Change::Set(at, byte) if !bytes.is_empty() => *at.get_mut(&mut bytes) = byte,
                Change::Set(..) => {}
                Change::Drop(one, other) => drop(bytes.drain(at(&one).min(at(&other))..at(&one).max(at(&other)))),
                Change::Insert(index, more) => {
                    let at = at(&index);
                    drop(bytes.splice(at..at, more));
                }
                Change::Splice(index, seed, from) => {
                    let (at, seed) = (at(&index), seed.get(seeds));
                    drop(bytes.splice(at.., seed[from.index(seed.len() + 1)..].iter().copied()));
                }
            }
        }
        bytes
    }

    fn feed(target: Target) {
        let seeds = (target.seeds)();
        for seed in &seeds {
            (target.run)(seed);
        }
        let changes = prop::collection::vec(change(), 1..6);
        let bent = (any::<Index>(), changes).prop_map(|(seed, changes)| changed(&seeds, seed, changes));
        let texts = "\\PC{0,120}".prop_map(String::into_bytes);
        let inputs = prop_oneof![6 => bent, 1 => texts, 1 => prop::collection::vec(any::<u8>(), 0..300)];
        proptest!(|(bytes in inputs)| (target.run)(&bytes));
    }

    macro_rules! feed {
        ($($name:ident),* $(,)?) => {
            $(#[test]
            fn $name() {
                feed(target(stringify!($name)).unwrap());
            })*

            #[test]
            fn every_target_is_fed_here_and_by_cargo_fuzz() {
                let mut fed = [$(stringify!($name)),*];
                let mut names = TARGETS.map(|target| target.name);
                (fed.sort_unstable(), names.sort_unstable());
                assert_eq!(fed.as_slice(), names);
                let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/fuzz_targets");
                let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
                let mut files: Vec<String> =
                    files.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
                files.sort_unstable();
                assert_eq!(files, names);
            }
        };
    }

    feed![
        access_token,
        refresh_token,
        api_token,
        django_hash,
        identifier,
        sheet,
        picture,
        cursor,
        dump,
        mapping,
        document,
        schema,
        json,
        envelope,
        multipart,
        message,
        address,
        media,
    ];
}
