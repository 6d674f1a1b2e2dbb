use std::str::FromStr;

use argon2::{Algorithm, Argon2, Block, Version};

use super::Argon2Params;
use crate::error::{Error, Result};

/// What computes the hashes. Both give the same tags, so that stored hashes stay good whichever is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argon2Engine {
    /// The vector instructions of this processor, chosen when the service starts: about twice as fast.
    Simd,
    /// The plain implementation of RustCrypto.
    Portable,
}

impl FromStr for Argon2Engine {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "simd" => Ok(Self::Simd),
            "portable" => Ok(Self::Portable),
            _ => Err("must be simd or portable"),
        }
    }
}

impl Argon2Engine {
    /// This engine where its tags are those of the plain one on this very processor, and the plain one otherwise: which
    /// instructions are used differs from machine to machine, and tests see one of them.
    pub(super) fn checked(self) -> Self {
        self.unless_wrong(|params, password, salt, tag| self.memory(params).tag(params, password, salt, tag))
    }

    fn unless_wrong(self, compute: impl Fn(Argon2Params, &[u8], &[u8], &mut [u8]) -> Result<()>) -> Self {
        let is_right = |params: &str| {
            let params = params.parse().expect("these are within bounds");
            let (mut ours, mut plain) = ([0; 32], [0; 32]);
            let (password, salt) = (b"correct horse battery staple", b"sixteen bytes...");
            let computed = compute(params, password, salt, &mut ours);
            computed.is_ok() && portable(&mut Vec::new(), params, password, salt, &mut plain).is_ok() && ours == plain
        };
        if ["m=64,t=2,p=1", "m=71,t=3,p=2"].into_iter().all(is_right) {
            return self;
        }
        tracing::error!("{self:?} computes wrong Argon2 hashes on this processor: the portable engine is used instead");
        Self::Portable
    }

    /// Memory to compute with; it is allocated when it is first used.
    pub(super) fn memory(self, params: Argon2Params) -> Memory {
        match self {
            Self::Simd => Memory::Simd(simd(params, 32).hasher()),
            Self::Portable => Memory::Portable(Vec::new()),
        }
    }
}

/// Memory that stays allocated from hash to hash; to get it anew costs up to a fifth of a hash's time.
pub(super) enum Memory {
    Simd(argon2_rust::Hasher),
    Portable(Vec<Block>),
}

impl Memory {
    /// Fills `tag`, of 4 bytes or more, for a password and a salt of 8 bytes or more.
    pub(super) fn tag(&mut self, params: Argon2Params, password: &[u8], salt: &[u8], tag: &mut [u8]) -> Result<()> {
        match self {
            Self::Simd(hasher) => {
                hasher.set_argon2(simd(params, tag.len()));
                hasher.hash_into(password, salt, tag).map_err(|error| Error::internal(error.to_string()))
            }
            Self::Portable(blocks) => portable(blocks, params, password, salt, tag),
        }
    }
}

fn portable(blocks: &mut Vec<Block>, params: Argon2Params, password: &[u8], salt: &[u8], tag: &mut [u8]) -> Result<()> {
    let params = params.for_argon2();
    if blocks.len() < params.block_count() {
        blocks.resize(params.block_count(), Block::new());
    }
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_into_with_memory(password, salt, tag, blocks).map_err(Error::internal)
}

fn simd(params: Argon2Params, tag_length: usize) -> argon2_rust::Argon2 {
    use argon2_rust::params::{Memory, TagLen};
    use argon2_rust::{Algorithm, Argon2, Params, Version};

    // One thread, whatever the lanes: a permit stands for one core.
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

    const ENGINES: [Argon2Engine; 2] = [Argon2Engine::Simd, Argon2Engine::Portable];

    fn tag(engine: Argon2Engine, params: Argon2Params, password: &[u8], salt: &[u8], length: usize) -> Vec<u8> {
        let mut tag = vec![0; length];
        engine.memory(params).tag(params, password, salt, &mut tag).unwrap();
        tag
    }

    /// RFC 9106, section 5.3: the only vector of the standard for Argon2id, with a secret and associated data.
    #[test]
    fn both_give_the_tag_of_the_standard() {
        let expected = [
            0x0d, 0x64, 0x0d, 0xf5, 0x8d, 0x78, 0x76, 0x6c, 0x08, 0xc0, 0x37, 0xa3, 0x4a, 0x8b, 0x53, 0xc9, 0xd0, 0x1e,
            0xf0, 0x45, 0x2d, 0x75, 0xb6, 0x5e, 0xb5, 0x25, 0x20, 0xe9, 0x6b, 0x01, 0xe6, 0x59,
        ];
        let (password, salt, secret, data) = ([1; 32], [2; 16], [3; 8], [4; 12]);
        let params: Argon2Params = "m=32,t=3,p=4".parse().unwrap();

        let mut found = [0; 32];
        simd(params, 32).hash_into_with_ad(&password, &salt, &secret, &data, &mut found).unwrap();
        assert_eq!(found, expected);

        let data = argon2::AssociatedData::new(&data).unwrap();
        let params = argon2::ParamsBuilder::new().m_cost(32).t_cost(3).p_cost(4).data(data).build().unwrap();
        let plain = Argon2::new_with_secret(&secret, Algorithm::Argon2id, Version::V0x13, params).unwrap();
        plain.hash_password_into(&password, &salt, &mut found).unwrap();
        assert_eq!(found, expected);
    }

    /// Vectors of the reference implementation's own tests (`phc-winner-argon2`, `src/test.c`).
    #[test]
    fn both_give_the_tags_of_the_reference() {
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
        ] {
            for engine in ENGINES {
                let tag = tag(engine, params.parse().unwrap(), password.as_bytes(), salt.as_bytes(), 32);
                let hex: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
                assert_eq!(hex, expected, "{engine:?} {params}");
            }
        }
    }

    #[test]
    fn what_was_computed_before_makes_no_difference() {
        for engine in ENGINES {
            let (small, large) = ("m=64,t=1,p=1".parse().unwrap(), "m=200,t=2,p=3".parse().unwrap());
            let mut memory = engine.memory(small);
            for params in [small, large, small, large] {
                let mut again = [0; 24];
                memory.tag(params, b"password", b"somesalt", &mut again).unwrap();
                assert_eq!(again.as_slice(), tag(engine, params, b"password", b"somesalt", 24), "{engine:?} {params}");
            }
        }
    }

    #[test]
    fn an_engine_that_is_wrong_is_not_used() {
        let simd = Argon2Engine::Simd;
        assert_eq!(simd.checked(), simd);
        assert_eq!(
            simd.unless_wrong(|_, _, _, tag| {
                tag.fill(7);
                Ok(())
            }),
            Argon2Engine::Portable
        );
        assert_eq!(simd.unless_wrong(|_, _, _, _| Err(Error::internal("no"))), Argon2Engine::Portable);
        let one_lane_only = |params: Argon2Params, password: &[u8], salt: &[u8], tag: &mut [u8]| {
            simd.memory(params).tag(Argon2Params { lanes: 1, ..params }, password, salt, tag)
        };
        assert_eq!(simd.unless_wrong(one_lane_only), Argon2Engine::Portable);
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
            let [simd, plain] = ENGINES.map(|engine| tag(engine, params, &password, &salt, length));
            prop_assert_eq!(simd, plain);
        }
    }
}
