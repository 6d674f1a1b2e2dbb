//! Look of the pages and emails: logo, accent color and legal links.

use std::io::Read as _;
use std::path::Path;

use super::color::Color;
use super::secret::digest_text;
use crate::texts::Text;

/// Maximum size of a logo in bytes: each first visit loads it.
const MAX_LOGO: u64 = 256 * 1024;

/// Backgrounds of the light style, as in `style.css`: page and card.
const LIGHT: [Color; 2] = [Color::new(0xf4, 0xf5, 0xf7), Color::WHITE];

/// Backgrounds of the dark style, as in `style.css`: page and card.
const DARK: [Color; 2] = [Color::new(0x14, 0x16, 0x1b), Color::new(0x1e, 0x21, 0x28)];

/// Minimum contrast of text.
const TEXT: f64 = 4.5;

/// Minimum contrast of borders.
const BORDER: f64 = 3.0;

/// Look of the pages and emails, as far as it differs from the default.
#[derive(Clone, Debug, Default)]
pub struct Brand {
    /// Logo in the header of pages.
    pub logo: Option<Logo>,
    /// Color of buttons; links have it or, if it contrasts too little, a similar one.
    pub color: Option<Color>,
    /// Labels and addresses of legal pages.
    pub legal: Vec<(Text, String)>,
}

impl Brand {
    /// Stylesheet that replaces the default colors; empty without an accent color.
    pub fn style(&self) -> String {
        let Some(color) = self.color else { return String::new() };
        let rules = |backgrounds: &[Color]| {
            let (on, link) = (color.text_on(), color.readable_on(backgrounds, TEXT));
            let edge = color.readable_on(backgrounds, BORDER);
            format!(":root {{ --accent: {color}; --on-accent: {on}; --link: {link}; --edge: {edge}; }}\n")
        };
        format!("{}@media (prefers-color-scheme: dark) {{\n{}}}\n", rules(&LIGHT), rules(&DARK))
    }

    /// Text that changes with stylesheet and logo, for their addresses.
    pub fn version(&self) -> String {
        let logo = self.logo.as_ref().map_or("", |logo| &logo.digest);
        digest_text(&format!("{}{logo}", self.style()))[..12].to_owned()
    }
}

/// A checked picture.
#[derive(Clone, Debug)]
pub struct Logo {
    /// Its media type.
    pub media_type: &'static str,
    /// Its bytes.
    pub bytes: Vec<u8>,
    digest: String,
}

impl Logo {
    /// Reads a logo, and checks that browsers can show it.
    ///
    /// # Errors
    /// One sentence for the operator.
    pub fn open(path: &Path) -> Result<Self, String> {
        let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        file.take(MAX_LOGO + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        if bytes.len() as u64 > MAX_LOGO {
            return Err(format!("it has more than {} KiB", MAX_LOGO / 1024));
        }
        Self::new(bytes)
    }

    fn new(bytes: Vec<u8>) -> Result<Self, String> {
        let media_type = match std::str::from_utf8(&bytes) {
            Ok(text) if is_svg(text) => "image/svg+xml",
            _ if bytes.starts_with(b"\x89PNG") => match image::load_from_memory(&bytes) {
                Ok(_) => "image/png",
                Err(error) => return Err(format!("it is a damaged PNG file: {error}")),
            },
            _ => return Err("it is neither a PNG file nor an SVG file with its namespace".to_owned()),
        };
        let digest = digest_text(&bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        Ok(Self { media_type, bytes, digest })
    }
}

/// True if the text has the form of an SVG document. Without the namespace, browsers do not show it.
fn is_svg(text: &str) -> bool {
    let mut rest = text.trim_start_matches('\u{feff}').trim();
    while let Some((_, after)) = ["<?", "<!"].iter().any(|mark| rest.starts_with(mark)).then(|| end_of(rest)).flatten()
    {
        rest = after.trim_start();
    }
    let is_closed = rest.ends_with("</svg>") || rest.ends_with("/>");
    rest.starts_with("<svg") && is_closed && rest.contains("http://www.w3.org/2000/svg")
}

/// Splits a text after the declaration, document type or comment at its start.
fn end_of(text: &str) -> Option<(&str, &str)> {
    let end = if text.starts_with("<!--") { "-->" } else { ">" };
    let at = text.find(end)? + end.len();
    Some(text.split_at(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_accent_color_is_readable_in_light_and_dark() {
        let shares = [0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
        for red in shares {
            for green in shares {
                for blue in shares {
                    let color = Color::new(red, green, blue);
                    assert!(color.contrast(color.text_on()) >= TEXT, "{color}");
                    for background in [LIGHT, DARK] {
                        for ratio in [TEXT, BORDER] {
                            let found = color.readable_on(&background, ratio);
                            assert!(background.iter().all(|other| found.contrast(*other) >= ratio), "{color}: {found}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_backgrounds_are_those_of_the_stylesheet() {
        let style = include_str!("../http/pages/style.css");
        for (name, colors) in [("page", [LIGHT[0], DARK[0]]), ("card", [LIGHT[1], DARK[1]])] {
            for color in colors {
                assert!(style.contains(&format!("--{name}: {color};")), "--{name}: {color}");
            }
        }
    }

    #[test]
    fn a_readable_color_stays_as_it_is() {
        let brand = Brand { color: Some("#1f4fbf".parse().unwrap()), ..Brand::default() };
        let style = brand.style();
        let light = ":root { --accent: #1f4fbf; --on-accent: #ffffff; --link: #1f4fbf; --edge: #1f4fbf; }\n";
        assert!(style.starts_with(light), "{style}");
        assert!(!style.split("dark").nth(1).unwrap().contains("--link: #1f4fbf"), "{style}");
        assert_eq!(Brand::default().style(), "");
        assert_ne!(brand.version(), Brand::default().version());
    }

    #[test]
    fn a_logo_is_a_whole_picture() {
        let media_type = |bytes: &[u8]| Logo::new(bytes.to_vec()).map(|logo| logo.media_type);
        let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\"><path/></svg>";
        for start in ["", "\u{feff}", "<?xml version=\"1.0\"?>\n<!-- a > b -->\n<!DOCTYPE svg>\n"] {
            assert_eq!(media_type(format!("{start}{svg}\n").as_bytes()), Ok("image/svg+xml"));
        }
        let mut png = std::io::Cursor::new(Vec::new());
        image::DynamicImage::new_rgb8(2, 2).write_to(&mut png, image::ImageFormat::Png).unwrap();
        let png = png.into_inner();
        assert_eq!(media_type(&png), Ok("image/png"));
        let without_namespace = svg.replace(" xmlns=\"http://www.w3.org/2000/svg\"", "");
        for bad in
            [&png[..40], b"", b"<html><svg></svg>", without_namespace.as_bytes(), &svg.as_bytes()[..50], b"GIF89a"]
        {
            assert!(media_type(bad).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
    }
}
