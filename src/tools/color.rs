//! Colors and their contrast (WCAG 2.2, section 1.4.3).

use std::fmt;
use std::str::FromStr;

/// An opaque sRGB color, written as `#1f4fbf`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Color([u8; 3]);

/// Number of mixtures tried between a color and black or white.
const STEPS: u16 = 64;

impl Color {
    /// Black.
    pub const BLACK: Self = Self([0; 3]);

    /// White.
    pub const WHITE: Self = Self([255; 3]);

    /// Color with these shares of red, green and blue.
    pub const fn new(red: u8, green: u8, blue: u8) -> Self {
        Self([red, green, blue])
    }

    /// Relative luminance, from 0 for black to 1 for white.
    fn luminance(self) -> f64 {
        let linear = |share: u8| {
            let share = f64::from(share) / 255.0;
            if share <= 0.040_45 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
        };
        let [red, green, blue] = self.0.map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    /// Contrast ratio of two colors, from 1 to 21.
    pub fn contrast(self, other: Self) -> f64 {
        let (one, other) = (self.luminance(), other.luminance());
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    /// Black or white, whichever is easier to read on this color; the ratio is at least 4.58.
    #[must_use]
    pub fn text_on(self) -> Self {
        if self.contrast(Self::WHITE) >= self.contrast(Self::BLACK) { Self::WHITE } else { Self::BLACK }
    }

    /// This color or, if it contrasts too little with one of these backgrounds, the first mixture with black or white
    /// that does. The backgrounds are all dark or all light, so that black or white itself always does.
    #[must_use]
    pub fn readable_on(self, backgrounds: &[Self], ratio: f64) -> Self {
        let end = backgrounds.first().map_or(Self::BLACK, |background| background.text_on());
        let is_readable = |mixture: &Self| backgrounds.iter().all(|background| mixture.contrast(*background) >= ratio);
        (0..=STEPS).map(|step| self.mixed(end, step)).find(is_readable).unwrap_or(end)
    }

    /// Mixture with this many parts of [`STEPS`] of the other color.
    fn mixed(self, other: Self, step: u16) -> Self {
        let share = |index: usize| {
            let sum = u16::from(self.0[index]) * (STEPS - step) + u16::from(other.0[index]) * step;
            u8::try_from(sum / STEPS).unwrap_or(u8::MAX)
        };
        Self([share(0), share(1), share(2)])
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl FromStr for Color {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("'{text}' is not a color such as #1f4fbf");
        let digits = text.trim().strip_prefix('#').ok_or_else(bad)?;
        if digits.len() != 6 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(bad());
        }
        let share = |start: usize| u8::from_str_radix(&digits[start..start + 2], 16).map_err(|_| bad());
        Ok(Self([share(0)?, share(2)?, share(4)?]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contrast_is_that_of_the_guidelines() {
        assert!((Color::BLACK.contrast(Color::WHITE) - 21.0).abs() < 1e-9);
        let grey: Color = "#767676".parse().unwrap();
        assert!((grey.contrast(Color::WHITE) - 4.54).abs() < 0.01);
        assert!((Color::WHITE.contrast(Color::WHITE) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn only_six_hexadecimal_digits_are_a_color() {
        assert_eq!("#1F4fbf".parse::<Color>().unwrap().to_string(), "#1f4fbf");
        for bad in ["", "#", "1f4fbf", "#fff", "#1f4fbg", "#1f4fbf00", "#äöü", "red", "#+1+1+1", "#12345é"] {
            assert!(bad.parse::<Color>().is_err(), "{bad}");
        }
    }
}
