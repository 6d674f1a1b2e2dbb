//! Fuzzing targets for all parsers of untrusted input. Compiled only for tests and for fuzzing.
//!
//! A target receives arbitrary bytes and panics if an invariant is violated. Most targets assert more than the absence
//! of panics. The tests below run each target on a few hundred inputs; `fuzz/run` runs each for a given time.

use crate::{domain, graphql, http, tools};

/// A fuzzing target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, also in `fuzz/fuzz_targets/`.
    pub name: &'static str,
    /// Runs the target on these bytes.
    pub run: fn(&[u8]),
    /// Inputs that reach most of the code, from which others are derived.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: [Target; 21] = [
    tools::fuzzing::ACCESS_TOKEN,
    tools::fuzzing::REFRESH_TOKEN,
    tools::fuzzing::API_TOKEN,
    tools::fuzzing::BREACHED_ROWS,
    tools::fuzzing::BREACHED_LIST,
    tools::fuzzing::DJANGO_HASH,
    tools::fuzzing::IDENTIFIER,
    tools::fuzzing::SHEET,
    tools::fuzzing::PICTURE,
    tools::webauthn::fuzzing::ATTESTATION,
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

    /// A mutation of a seed: a byte is set, bytes are removed, or bytes are inserted. Inserted bytes come from another
    /// seed, or are significant in most formats.
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
        attestation,
        breached_rows,
        breached_list,
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
