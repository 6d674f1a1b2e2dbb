//! Conversion of colours to sRGB.

use image::{DynamicImage, RgbaImage};
use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};

/// The picture in sRGB, converted by the ICC profile of the file, such as Display P3 of phones; avatars contain no
/// profile. A damaged or unsuitable profile is ignored.
pub(super) fn in_srgb(picture: &DynamicImage, profile: Option<&[u8]>) -> RgbaImage {
    profile.and_then(|profile| converted(picture, profile)).unwrap_or_else(|| picture.to_rgba8())
}

fn converted(picture: &DynamicImage, profile: &[u8]) -> Option<RgbaImage> {
    let profile = ColorProfile::new_from_slice(profile).ok()?;
    let (samples, layout) = match profile.color_space {
        DataColorSpace::Rgb => (picture.to_rgba8().into_raw(), Layout::Rgba),
        DataColorSpace::Gray if !picture.color().has_color() => {
            (picture.to_luma_alpha8().into_raw(), Layout::GrayAlpha)
        }
        _ => return None,
    };
    let srgb = ColorProfile::new_srgb();
    let transform = profile.create_transform_8bit(layout, &srgb, Layout::Rgba, TransformOptions::default()).ok()?;
    let mut shown = RgbaImage::new(picture.width(), picture.height());
    transform.transform(&samples, &mut shown).ok()?;
    Some(shown)
}
