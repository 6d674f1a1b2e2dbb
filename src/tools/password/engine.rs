use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use argon2::{Algorithm, Argon2, Block, Version};

use super::Argon2Params;
use crate::error::{Error, Result};

/// Retry delay after a hash failed for lack of memory.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Implementation that computes the hashes. All produce the same tags, so stored hashes stay valid with each.
/// `docs/decisions/argon2.md` compares them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Argon2Engine {
    /// RustCrypto's `argon2`, in every build.
    #[default]
    Portable,
    /// `argon2-rust`: the fastest and the least reviewed, optional at build time.
    #[cfg(feature = "argon2-simd")]
    Simd,
}

impl FromStr for Argon2Engine {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "portable" => Ok(Self::Portable),
            #[cfg(feature = "argon2-simd")]
            "simd" => Ok(Self::Simd),
            #[cfg(not(feature = "argon2-simd"))]
            "simd" => Err("this build has no simd engine: build with --features argon2-simd, or set portable"),
            _ => Err("must be portable or simd"),
        }
    }
}

/// The name of the engine in the settings.
impl fmt::Display for Argon2Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Portable => "portable",
            #[cfg(feature = "argon2-simd")]
            Self::Simd => "simd",
        })
    }
}

impl Argon2Engine {
    /// This engine if its tags equal those of the portable one on this processor, otherwise the portable one:
    /// processors differ in their instructions, and tests cover only one.
    pub(super) fn checked(self) -> Self {
        self.unless_wrong(|params, password, salt, tag| self.memory(params).tag(params, password, salt, tag))
    }

    fn unless_wrong(self, compute: impl Fn(Argon2Params, &[u8], &[u8], &mut [u8]) -> Result<()>) -> Self {
        if is_right(compute) {
            return self;
        }
        tracing::error!(engine = %self, "engine computes wrong Argon2 hashes on this processor; using portable instead");
        Self::Portable
    }

    /// Memory for hashing, allocated on first use.
    #[cfg_attr(
        not(feature = "argon2-simd"),
        expect(unused_variables, reason = "the portable engine takes the parameters with each hash")
    )]
    pub(super) fn memory(self, params: Argon2Params) -> Memory {
        match self {
            Self::Portable => Memory::Portable(Vec::new()),
            #[cfg(feature = "argon2-simd")]
            Self::Simd => Memory::Simd(Box::new(simd(params, 32).hasher())),
        }
    }
}

/// Compares hashes with those of the portable engine.
fn is_right(compute: impl Fn(Argon2Params, &[u8], &[u8], &mut [u8]) -> Result<()>) -> bool {
    ["m=64,t=2,p=1", "m=71,t=3,p=1", "m=71,t=3,p=2"].into_iter().all(|params| {
        let params = params.parse().expect("these are within bounds");
        let (mut ours, mut plain) = ([0; 32], [0; 32]);
        let (password, salt) = (b"correct horse battery staple", b"sixteen bytes...");
        let computed = compute(params, password, salt, &mut ours);
        computed.is_ok() && portable(&mut Vec::new(), params, password, salt, &mut plain).is_ok() && ours == plain
    })
}

/// Memory of one hash at a time. It stays allocated between hashes.
pub(super) enum Memory {
    Portable(Vec<Block>),
    #[cfg(feature = "argon2-simd")]
    Simd(Box<argon2_rust::Hasher>),
}

impl Memory {
    /// Computes `tag`, of 4 bytes or more, for a password and a salt of 8 bytes or more.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if there is not enough memory.
    pub(super) fn tag(&mut self, params: Argon2Params, password: &[u8], salt: &[u8], tag: &mut [u8]) -> Result<()> {
        match self {
            Self::Portable(blocks) => portable(blocks, params, password, salt, tag),
            #[cfg(feature = "argon2-simd")]
            Self::Simd(hasher) => {
                hasher.set_argon2(simd(params, tag.len()));
                hasher.hash_into(password, salt, tag).map_err(|error| Error::internal(error.to_string()))
            }
        }
    }
}

fn no_memory(params: Argon2Params) -> Error {
    tracing::error!(memory = params.bytes(), "not enough memory for a password hash");
    Error::Unavailable(RETRY_AFTER)
}

/// A kind and a version of Argon2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Variant {
    pub(super) algorithm: Algorithm,
    pub(super) version: Version,
}

impl Variant {
    /// The variant of the service's own hashes.
    pub(super) const OWN: Self = Self { algorithm: Algorithm::Argon2id, version: Version::V0x13 };
}

fn portable(blocks: &mut Vec<Block>, params: Argon2Params, password: &[u8], salt: &[u8], tag: &mut [u8]) -> Result<()> {
    plain(Variant::OWN, blocks, params, password, salt, tag)
}

/// Computes `tag` by another variant of Argon2 than the service's own, as in older hashes.
///
/// # Errors
/// [`Error::Unavailable`] if there is not enough memory.
pub(super) fn older(
    variant: Variant,
    params: Argon2Params,
    password: &[u8],
    salt: &[u8],
    tag: &mut [u8],
) -> Result<()> {
    plain(variant, &mut Vec::new(), params, password, salt, tag)
}

fn plain(
    variant: Variant,
    blocks: &mut Vec<Block>,
    params: Argon2Params,
    password: &[u8],
    salt: &[u8],
    tag: &mut [u8],
) -> Result<()> {
    let costs = params.for_argon2();
    let missing = costs.block_count().saturating_sub(blocks.len());
    // Without this, `resize` would abort the process.
    blocks.try_reserve_exact(missing).map_err(|_| no_memory(params))?;
    blocks.resize(blocks.len() + missing, Block::new());
    Argon2::new(variant.algorithm, variant.version, costs)
        .hash_password_into_with_memory(password, salt, tag, blocks)
        .map_err(Error::internal)
}

#[cfg(feature = "argon2-simd")]
fn simd(params: Argon2Params, tag_length: usize) -> argon2_rust::Argon2 {
    use argon2_rust::params::{Memory, TagLen};
    use argon2_rust::{Algorithm, Argon2, Params, Version};

    // One thread, whatever the lanes: a permit represents one core.
    let params = Params::builder()
        .memory(Memory::kib(params.memory.into()))
        .passes(params.passes)
        .lanes(params.lanes)
        .threads(1)
        .tag_len(TagLen::bytes(tag_length as u64))
        .build()
        .expect("the bounds are within those of Argon2");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ENGINES: &[Argon2Engine] = &[
        Argon2Engine::Portable,
        #[cfg(feature = "argon2-simd")]
        Argon2Engine::Simd,
    ];

    fn tag(engine: Argon2Engine, params: Argon2Params, password: &[u8], salt: &[u8], length: usize) -> Vec<u8> {
        let mut tag = vec![0; length];
        engine.memory(params).tag(params, password, salt, &mut tag).unwrap();
        tag
    }

    /// RFC 9106, section 5.3: the only vector of the standard for Argon2id, with a secret and associated data.
    #[test]
    fn the_tag_is_that_of_the_standard() {
        let expected = [
            0x0d, 0x64, 0x0d, 0xf5, 0x8d, 0x78, 0x76, 0x6c, 0x08, 0xc0, 0x37, 0xa3, 0x4a, 0x8b, 0x53, 0xc9, 0xd0, 0x1e,
            0xf0, 0x45, 0x2d, 0x75, 0xb6, 0x5e, 0xb5, 0x25, 0x20, 0xe9, 0x6b, 0x01, 0xe6, 0x59,
        ];
        let (password, salt, secret, data) = ([1; 32], [2; 16], [3; 8], [4; 12]);

        let mut found = [0; 32];
        #[cfg(feature = "argon2-simd")]
        {
            simd("m=32,t=3,p=4".parse().unwrap(), 32)
                .hash_into_with_ad(&password, &salt, &secret, &data, &mut found)
                .unwrap();
            assert_eq!(found, expected);
        }

        let data = argon2::AssociatedData::new(&data).unwrap();
        let params = argon2::ParamsBuilder::new().m_cost(32).t_cost(3).p_cost(4).data(data).build().unwrap();
        let plain = Argon2::new_with_secret(&secret, Algorithm::Argon2id, Version::V0x13, params).unwrap();
        plain.hash_password_into(&password, &salt, &mut found).unwrap();
        assert_eq!(found, expected);
    }

    /// Vectors of the reference implementation's own tests (`phc-winner-argon2`, `src/test.c`).
    #[test]
    fn the_tags_are_those_of_the_reference() {
        for (params, password, salt, expected) in [
            (
                "m=256,t=2,p=1",
                "password",
                "somesalt",
                "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe",
            ),
            (
                "m=256,t=2,p=2",
                "password",
                "somesalt",
                "6d093c501fd5999645e0ea3bf620d7b8be7fd2db59c20d9fff9539da2bf57037",
            ),
            (
                "m=65536,t=2,p=1",
                "password",
                "somesalt",
                "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7",
            ),
            // With salts of sixteen bytes, as in stored hashes: computed by the reference, version 20190702.
            (
                "m=64,t=2,p=1",
                "correct horse battery staple",
                "sixteen bytes...",
                "36920f25883cdd6c2e56c6efb694efc8b2c972a8fb2cafc334d71f1fdce13a7a",
            ),
            (
                "m=19456,t=2,p=1",
                "correct horse battery staple",
                "sixteen bytes...",
                "06c4de045f685ea0568d29a1f321e8b2ab3419065f816cfae7a5c28d5c57841f",
            ),
        ] {
            for &engine in ENGINES {
                let tag = tag(engine, params.parse().unwrap(), password.as_bytes(), salt.as_bytes(), 32);
                let hex: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
                assert_eq!(hex, expected, "{engine:?} {params}");
            }
        }
    }

    #[test]
    fn what_was_computed_before_makes_no_difference() {
        for &engine in ENGINES {
            let (small, large) = ("m=64,t=1,p=1".parse().unwrap(), "m=200,t=2,p=3".parse().unwrap());
            let mut memory = engine.memory(small);
            for params in [small, large, small, large] {
                let mut again = [0; 24];
                memory.tag(params, b"password", b"sixteen bytes...", &mut again).unwrap();
                let alone = tag(engine, params, b"password", b"sixteen bytes...", 24);
                assert_eq!(again.as_slice(), alone, "{engine:?} {params}");
            }
        }
    }

    #[test]
    fn an_engine_that_is_wrong_is_not_used() {
        for &engine in ENGINES {
            assert_eq!(engine.checked(), engine);
            let wrong = |_: Argon2Params, _: &[u8], _: &[u8], tag: &mut [u8]| {
                tag.fill(7);
                Ok(())
            };
            assert!(!is_right(wrong));
            assert_eq!(engine.unless_wrong(wrong), Argon2Engine::Portable);
            assert!(!is_right(|_, _, _, _| Err(Error::internal("no"))));
            let one_lane_only = |params: Argon2Params, password: &[u8], salt: &[u8], tag: &mut [u8]| {
                engine.memory(params).tag(Argon2Params { lanes: 1, ..params }, password, salt, tag)
            };
            assert!(!is_right(one_lane_only));
        }
    }

    #[test]
    fn an_engine_is_set_by_the_name_that_it_prints() {
        for &engine in ENGINES {
            assert_eq!(engine.to_string().parse(), Ok(engine));
        }
        assert_eq!("portable".parse(), Ok(Argon2Engine::Portable));
        for text in ["", "Portable", "sodium", "simd ", "fast"] {
            assert_eq!(text.parse::<Argon2Engine>(), Err("must be portable or simd"), "{text}");
        }
    }

    #[test]
    #[cfg(not(feature = "argon2-simd"))]
    fn an_engine_that_was_not_built_in_is_refused_with_the_feature_that_has_it() {
        let refused = "simd".parse::<Argon2Engine>().unwrap_err();
        assert!(refused.contains("--features argon2-simd"), "{refused}");
    }

    proptest! {
        #[test]
        fn they_agree_on_everything(
            (lanes, memory) in (1..=4_u32).prop_flat_map(|lanes| (Just(lanes), 8 * lanes..400)),
            passes in 1..=4_u32,
            password in proptest::collection::vec(any::<u8>(), 0..600),
            salt in proptest::collection::vec(any::<u8>(), 8..70),
            length in 4..200_usize,
        ) {
            let params = Argon2Params { memory, passes, lanes };
            let plain = tag(Argon2Engine::Portable, params, &password, &salt, length);
            for &engine in ENGINES {
                prop_assert_eq!(&tag(engine, params, &password, &salt, length), &plain, "{}", engine);
            }
        }
    }
}
