//! Names of the files of an avatar: `DIGEST-SIDE.jpg` or `.webp`. The user's row has the name of the largest; the
//! others are derived from it.

use std::fmt;
use std::str::FromStr;

use crate::tools::image::Encoding;

/// The sides of the smaller sizes of an avatar, in pixels, smallest first.
const SMALLER: [u32; 3] = [64, 128, 256];

/// The name of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileName {
    digest: String,
    side: u32,
    encoding: Encoding,
}

impl FileName {
    /// The name of the file with this digest, side and encoding.
    pub(super) fn new(digest: String, side: u32, encoding: Encoding) -> Self {
        Self { digest, side, encoding }
    }

    /// Its digest: the same for all files of an avatar, and unique to the avatar.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The media type of the file.
    pub fn media_type(&self) -> &'static str {
        match self.encoding {
            Encoding::Jpeg => "image/jpeg",
            Encoding::Webp => "image/webp",
        }
    }

    /// The smallest file of the avatar with at least this side; the largest one, which is this, if all are smaller.
    #[must_use]
    pub fn at_least(&self, side: u32) -> Self {
        let smaller = SMALLER.into_iter().find(|smaller| *smaller >= side && *smaller < self.side);
        self.sized(smaller.unwrap_or(self.side))
    }

    /// All files of the avatar, of which this is the largest.
    pub fn all(&self) -> impl Iterator<Item = Self> {
        SMALLER.into_iter().filter(|side| *side < self.side).chain([self.side]).map(|side| self.sized(side))
    }

    /// Path of the file in the media store, and below `/media` on the service.
    pub fn path(&self) -> String {
        format!("avatars/{self}")
    }

    fn sized(&self, side: u32) -> Self {
        Self { side, ..self.clone() }
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let extension = match self.encoding {
            Encoding::Jpeg => "jpg",
            Encoding::Webp => "webp",
        };
        write!(f, "{}-{}.{extension}", self.digest, self.side)
    }
}

/// Accepts only what [`FileName`] prints, so that no name leads to other files.
impl FromStr for FileName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (stem, extension) = text.split_once('.').ok_or(())?;
        let (digest, side) = stem.split_once('-').ok_or(())?;
        let encoding = match extension {
            "jpg" => Encoding::Jpeg,
            "webp" => Encoding::Webp,
            _ => return Err(()),
        };
        let is_digest = digest.len() == 64 && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let is_side = (1..=3).contains(&side.len()) && side.bytes().all(|byte| byte.is_ascii_digit());
        if !is_digest || !is_side || side.starts_with('0') {
            return Err(());
        }
        Ok(Self { digest: digest.to_owned(), side: side.parse().map_err(|_| ())?, encoding })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(rest: &str) -> FileName {
        format!("{}-{rest}", "0a".repeat(32)).parse().unwrap()
    }

    #[test]
    fn the_smallest_that_is_large_enough_is_chosen() {
        let sides = |largest: &str| [1, 64, 65, 256, 257, 1024].map(|side| name(largest).at_least(side).side);
        assert_eq!(sides("512.jpg"), [64, 64, 128, 256, 512, 512]);
        assert_eq!(sides("100.webp"), [64, 64, 100, 100, 100, 100]);
        assert_eq!(sides("7.jpg"), [7; 6]);
        assert_eq!(name("100.jpg").all().collect::<Vec<_>>(), [name("64.jpg"), name("100.jpg")]);
        assert_eq!(name("64.jpg").all().collect::<Vec<_>>(), [name("64.jpg")]);
    }

    #[test]
    fn other_names_are_none() {
        let digest = "0a".repeat(32);
        for bad in [
            String::new(),
            "..".to_owned(),
            format!("{digest}-64"),
            format!("{digest}-64.svg"),
            format!("{digest}-64.jpg.html"),
            format!("{digest}-064.jpg"),
            format!("{digest}-+64.jpg"),
            format!("{digest}-1024.jpg"),
            format!("{}-64.jpg", digest.to_uppercase()),
            format!("../{digest}-64.jpg"),
            format!("{digest}/-64.jpg"),
        ] {
            assert!(bad.parse::<FileName>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_the_same(text in "\\PC{0,20}|[0-9a-f]{64}-[0-9]{1,4}\\.(jpg|webp)") {
            if let Ok(name) = text.parse::<FileName>() {
                prop_assert_eq!(name.to_string(), text);
            }
        }
    }
}
