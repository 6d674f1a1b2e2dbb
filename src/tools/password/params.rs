use std::error::Error;
use std::fmt;
use std::str::FromStr;

/// Cost of one Argon2id hash, within bounds that apply to every setting and stored hash. The text form is
/// `m=19456,t=2,p=1`, as in stored hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Params {
    pub(super) memory: u32,
    pub(super) passes: u32,
    pub(super) lanes: u32,
}

/// The text is not of the form `m=19456,t=2,p=1`, or a number is out of bounds; `Display` prints the bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidParams;

impl Argon2Params {
    /// Maximum memory, in KiB: one GiB.
    pub const MAX_MEMORY: u32 = 1 << 20;
    /// Maximum number of passes.
    pub const MAX_PASSES: u32 = 10;
    /// Maximum number of lanes.
    pub const MAX_LANES: u32 = 16;

    /// Checks the parameters: 8 to 1,048,576 KiB of memory and at least 8 KiB per lane, 1 to 10 passes, and 1 to 16
    /// lanes.
    pub fn new(memory: u32, passes: u32, lanes: u32) -> Result<Self, InvalidParams> {
        let allowed = (1..=Self::MAX_LANES).contains(&lanes)
            && (8 * lanes..=Self::MAX_MEMORY).contains(&memory)
            && (1..=Self::MAX_PASSES).contains(&passes);
        if allowed { Ok(Self { memory, passes, lanes }) } else { Err(InvalidParams) }
    }

    /// The same for the `argon2` crate.
    pub(super) fn for_argon2(self) -> argon2::Params {
        argon2::Params::new(self.memory, self.passes, self.lanes, None).expect("the bounds are within those of Argon2")
    }
}

/// 19 MiB, two passes, one lane: the minimum of OWASP's Password Storage Cheat Sheet.
impl Default for Argon2Params {
    fn default() -> Self {
        Self { memory: 19_456, passes: 2, lanes: 1 }
    }
}

impl fmt::Display for Argon2Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m={},t={},p={}", self.memory, self.passes, self.lanes)
    }
}

impl FromStr for Argon2Params {
    type Err = InvalidParams;

    fn from_str(text: &str) -> Result<Self, InvalidParams> {
        let mut values =
            text.splitn(3, ',').zip(["m=", "t=", "p="]).map(|(part, name)| part.strip_prefix(name)?.parse().ok());
        let mut next = || values.next().flatten().ok_or(InvalidParams);
        let params = Self::new(next()?, next()?, next()?)?;
        // Rejects signs and leading zeros.
        if params.to_string() == text { Ok(params) } else { Err(InvalidParams) }
    }
}

impl fmt::Display for InvalidParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "must be written as m=19456,t=2,p=1, with m (KiB of memory) 8 to 1048576 and at least 8 for each lane, \
             t (passes) 1 to 10, and p (lanes) 1 to 16",
        )
    }
}

impl Error for InvalidParams {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_as_they_are_written() {
        for text in ["m=19456,t=2,p=1", "m=8,t=1,p=1", "m=1048576,t=10,p=16"] {
            assert_eq!(text.parse::<Argon2Params>().unwrap().to_string(), text);
        }
        assert_eq!(Argon2Params::default().to_string(), "m=19456,t=2,p=1");
    }

    #[test]
    fn anything_else_is_refused() {
        let out_of_bounds =
            ["m=7,t=1,p=1", "m=1048577,t=1,p=1", "m=15,t=1,p=2", "m=8,t=0,p=1", "m=8,t=11,p=1", "m=8,t=1,p=0"];
        let malformed =
            ["", "m=8", "m=8,t=1", "m=8,t=1,p=1,", "m=8,t=1,p=1,x=1", "t=1,m=8,p=1", "m=+8,t=1,p=1", "m=08,t=1,p=1"];
        let others = ["m=999,t=1,p=17", "m=8, t=1, p=1", "m=-8,t=1,p=1", "m=4294967304,t=1,p=1", "8,1,1"];
        for text in out_of_bounds.into_iter().chain(malformed).chain(others) {
            assert_eq!(text.parse::<Argon2Params>(), Err(InvalidParams), "{text}");
        }
    }
}
