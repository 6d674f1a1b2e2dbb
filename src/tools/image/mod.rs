//! Conversion of uploaded pictures to avatars. Pictures are decoded within limits and encoded again, so that nothing of
//! the original file is kept: no location, no name, no script.

use std::io::Cursor;
use std::sync::Arc;

use image::codecs::{gif, jpeg, png, webp};
use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{DynamicImage, ExtendedColorType, ImageBuffer, ImageDecoder, ImageError, Limits, Pixel};
use tokio::sync::Semaphore;

use crate::error::{Code, Error, Refusal, Result};
use crate::texts::Text;
use container::{Format, Seen, Unreadable};

mod colour;
mod container;
#[cfg(test)]
mod tests;

/// Maximum size of a file, in bytes.
pub const MAX_BYTES: usize = MAX_MEGABYTES * 1024 * 1024;

/// The same in MiB.
const MAX_MEGABYTES: usize = 10;

/// Maximum number of pixels of a picture: 8192 by 8192, or as many in another shape. Phones take photographs of 50
/// million.
const MAX_PIXELS: u64 = MAX_SIDE * MAX_SIDE;

/// Maximum side of a square picture, in pixels.
const MAX_SIDE: u64 = 8192;

/// Maximum number of scans of a JPEG, each of which can cover the whole picture.
const MAX_SCANS: usize = 100;

/// Memory for all pictures being decoded, in addition to their files, in bytes. A picture that needs more is refused.
const MEMORY: u64 = 320 * MIB;

/// Memory for the squares made of a picture, whatever its size, in bytes.
const LEAST_MEMORY: u64 = 32 * MIB;

const MIB: u64 = 1024 * 1024;

/// Maximum number of pictures decoded at the same time, which limits the busy cores.
const AT_ONCE: usize = 2;

/// The sides of avatars in pixels, largest first.
const SIDES: [u32; 4] = [512, 256, 128, 64];

/// Quality of JPEGs, out of 100. Beyond it, files grow faster than they improve.
const QUALITY: u8 = 85;

/// Format of avatars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// For opaque pictures: a sixth of the size of the same photograph without loss, and supported everywhere.
    Jpeg,
    /// For transparent pictures, most of them drawn: lossless WebP, smaller than PNG and supported by all browsers and
    /// phones.
    Webp,
}

/// An avatar in several sizes.
#[derive(Clone, Debug)]
pub struct AvatarSizes {
    /// The format of the files.
    pub encoding: Encoding,
    /// The files with their sides in pixels, largest first; none is larger than the original.
    pub files: Vec<(u32, Vec<u8>)>,
}

/// Makes avatars, with limits on concurrency and memory. Clones share the limits.
#[derive(Clone, Debug)]
pub struct AvatarEncoder {
    turns: Arc<Semaphore>,
    /// One permit per mebibyte.
    memory: Arc<Semaphore>,
}

impl Default for AvatarEncoder {
    fn default() -> Self {
        let memory = usize::try_from(MEMORY / MIB).unwrap_or(usize::MAX);
        Self { turns: Arc::new(Semaphore::new(AT_ONCE)), memory: Arc::new(Semaphore::new(memory)) }
    }
}

impl AvatarEncoder {
    /// Makes squares of the centre of a picture, on a thread for blocking work.
    ///
    /// # Errors
    /// [`Code::FileTooLarge`] if the file has too many bytes, pixels or scans; [`Code::FileUnsupported`] if it is not a
    /// PNG, JPEG, WebP or GIF, or is damaged.
    pub async fn squares(&self, file: impl AsRef<[u8]> + Send + 'static) -> Result<AvatarSizes> {
        let seen = inspect(file.as_ref())?;
        let mebibytes = u32::try_from(cost(&seen).div_ceil(MIB)).map_err(Error::internal)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(Error::internal)?;
        let memory = Arc::clone(&self.memory).acquire_many_owned(mebibytes).await.map_err(Error::internal)?;
        let made = tokio::task::spawn_blocking(move || {
            // The permits are held until the work ends, even if its caller has stopped waiting.
            let _permits = (turn, memory);
            squares(file.as_ref(), &seen)
        });
        match made.await {
            Ok(made) => Ok(made?),
            Err(error) if error.is_panic() => {
                tracing::warn!("image decoder panicked");
                Err(unsupported().into())
            }
            Err(error) => Err(Error::internal(error)),
        }
    }
}

fn squares(file: &[u8], seen: &Seen) -> Result<AvatarSizes, Refusal> {
    let Decoded { picture: whole, orientation, profile } = decode(file, seen)?;
    let side = whole.width().min(whole.height());
    let mut square = middle(whole, side);
    if side > SIDES[0] * 4 {
        // Averages of blocks, which cost a fraction of the fine filter and are not visible after it.
        square = square.thumbnail_exact(SIDES[0] * 2, SIDES[0] * 2);
    }
    if side > SIDES[0] {
        square = square.resize_exact(SIDES[0], SIDES[0], FilterType::CatmullRom);
    }
    square.apply_orientation(orientation);
    let square = colour::in_srgb(&square, profile.as_deref());
    let (encoding, mut square) = if square.pixels().all(|pixel| pixel.0[3] == u8::MAX) {
        (Encoding::Jpeg, DynamicImage::from(DynamicImage::from(square).to_rgb8()))
    } else {
        (Encoding::Webp, DynamicImage::from(square))
    };
    let largest = side.min(SIDES[0]);
    let mut files = vec![(largest, encode(&square, encoding)?)];
    for side in SIDES.into_iter().filter(|side| *side < largest) {
        square = square.resize_exact(side, side, FilterType::CatmullRom);
        files.push((side, encode(&square, encoding)?));
    }
    Ok(AvatarSizes { encoding, files })
}

/// The square in the centre of a picture, in the memory of the picture.
fn middle(whole: DynamicImage, side: u32) -> DynamicImage {
    if whole.width() == whole.height() {
        return whole;
    }
    let (left, top) = ((whole.width() - side) / 2, (whole.height() - side) / 2);
    match whole {
        DynamicImage::ImageLuma8(whole) => cut(whole, left, top, side).into(),
        DynamicImage::ImageLumaA8(whole) => cut(whole, left, top, side).into(),
        DynamicImage::ImageRgb8(whole) => cut(whole, left, top, side).into(),
        DynamicImage::ImageRgba8(whole) => cut(whole, left, top, side).into(),
        DynamicImage::ImageLuma16(whole) => cut(whole, left, top, side).into(),
        DynamicImage::ImageLumaA16(whole) => cut(whole, left, top, side).into(),
        DynamicImage::ImageRgb16(whole) => cut(whole, left, top, side).into(),
        DynamicImage::ImageRgba16(whole) => cut(whole, left, top, side).into(),
        whole => whole.crop_imm(left, top, side, side),
    }
}

type Pixels<P> = ImageBuffer<P, Vec<<P as Pixel>::Subpixel>>;

fn cut<P: Pixel>(whole: Pixels<P>, left: u32, top: u32, side: u32) -> Pixels<P> {
    let places = |pixels: u32| usize::try_from(pixels).unwrap_or_default() * usize::from(P::CHANNEL_COUNT);
    let (stride, row) = (places(whole.width()), places(side));
    let mut samples = whole.into_raw();
    for (from, to) in (top..top + side).zip(0..side) {
        let start = usize::try_from(from).unwrap_or_default() * stride + places(left);
        samples.copy_within(start..start + row, usize::try_from(to).unwrap_or_default() * row);
    }
    samples.truncate(usize::try_from(side).unwrap_or_default() * row);
    samples.shrink_to_fit();
    ImageBuffer::from_raw(side, side, samples).unwrap_or_default()
}

/// Inspects a file, and refuses it if it must not be decoded.
fn inspect(file: &[u8]) -> Result<Seen, Refusal> {
    if file.len() > MAX_BYTES {
        return Err(too_large(Text::new("file-larger-than").with("max", MAX_MEGABYTES)));
    }
    let seen = container::inspect(file).map_err(|unreadable| match unreadable {
        Unreadable::Unknown => unsupported(),
        Unreadable::BreaksOff => breaks_off(),
    })?;
    if seen.scans > MAX_SCANS {
        return Err(too_large("picture-too-many-scans"));
    }
    if seen.pixels > MAX_PIXELS {
        return Err(too_many_pixels());
    }
    if cost(&seen) > MEMORY {
        return Err(too_large("picture-too-costly"));
    }
    Ok(seen)
}

/// Memory for a picture, in bytes.
fn cost(seen: &Seen) -> u64 {
    LEAST_MEMORY + seen.memory
}

/// Maximum size of unpacked metadata of a PNG, in bytes. Profiles have some KiB, at most two MiB.
const MAX_BESIDE: u64 = 4 * 1024 * 1024;

/// The first picture of a file.
struct Decoded {
    picture: DynamicImage,
    /// The rotation to apply.
    orientation: Orientation,
    /// The ICC profile of its colours.
    profile: Option<Vec<u8>>,
}

fn decode(file: &[u8], seen: &Seen) -> Result<Decoded, Refusal> {
    let reader = Cursor::new(file);
    match seen.format {
        Format::Png => take(png::PngDecoder::with_limits(reader, beside_pixels()), seen),
        Format::Jpeg => take(jpeg::JpegDecoder::new(reader), seen),
        Format::Gif => take(gif::GifDecoder::new(reader), seen),
        Format::Webp => take(webp::WebPDecoder::new(reader), seen),
    }
}

/// Limits on unpacked metadata of a PNG, such as its colour profile.
fn beside_pixels() -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_BESIDE);
    limits
}

fn take(decoder: Result<impl ImageDecoder, ImageError>, seen: &Seen) -> Result<Decoded, Refusal> {
    let mut decoder = decoder.map_err(|_| unsupported())?;
    let (width, height) = decoder.dimensions();
    // With more pixels than the container declares, the decoder would exceed its memory.
    if width == 0 || height == 0 || u64::from(width) * u64::from(height) > seen.pixels {
        return Err(unsupported());
    }
    if decoder.total_bytes() > cost(seen) {
        return Err(too_many_pixels());
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(cost(seen));
    let refused = |error| if matches!(error, ImageError::Limits(_)) { too_many_pixels() } else { unsupported() };
    decoder.set_limits(limits).map_err(refused)?;
    // Damaged metadata does not make a picture unusable.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let profile = decoder.icc_profile().unwrap_or_default();
    Ok(Decoded { picture: DynamicImage::from_decoder(decoder).map_err(refused)?, orientation, profile })
}

fn encode(square: &DynamicImage, encoding: Encoding) -> Result<Vec<u8>, Refusal> {
    let mut file = Vec::new();
    let (side, pixels) = (square.width(), square.as_bytes());
    let written = match encoding {
        Encoding::Jpeg => {
            jpeg::JpegEncoder::new_with_quality(&mut file, QUALITY).encode(pixels, side, side, ExtendedColorType::Rgb8)
        }
        Encoding::Webp => {
            webp::WebPEncoder::new_lossless(&mut file).encode(pixels, side, side, ExtendedColorType::Rgba8)
        }
    };
    written.map_err(|_| unsupported())?;
    Ok(file)
}

/// Asserts that the container of a file declares at least as many pixels as its decoder finds: large files are refused
/// by them before decoding.
#[cfg(any(test, fuzzing))]
pub(super) fn check_frame(file: &[u8]) {
    let Ok(seen) = container::inspect(file) else { return };
    let reader = Cursor::new(file);
    let size = match seen.format {
        Format::Gif => gif::GifDecoder::new(reader).map(|decoder| decoder.dimensions()),
        Format::Webp => webp::WebPDecoder::new(reader).map(|decoder| decoder.dimensions()),
        Format::Png => png::PngDecoder::new(reader).map(|decoder| decoder.dimensions()),
        Format::Jpeg => jpeg::JpegDecoder::new(reader).map(|decoder| decoder.dimensions()),
    };
    if let Ok((width, height)) = size {
        assert!(u64::from(width) * u64::from(height) <= seen.pixels, "{width} by {height} in {seen:?}");
    }
}

/// A small picture of each format.
#[cfg(any(test, fuzzing))]
pub(super) fn samples() -> Vec<Vec<u8>> {
    use image::ImageFormat::{Gif, Jpeg, Png, WebP};
    let picture = DynamicImage::new_rgb8(6, 4);
    let file = |format| {
        let mut file = Cursor::new(Vec::new());
        picture.write_to(&mut file, format).expect("each of these formats can be written");
        file.into_inner()
    };
    [Gif, Jpeg, Png, WebP].map(file).into()
}

fn unsupported() -> Refusal {
    Refusal::new(Code::FileUnsupported, "picture-unsupported")
}

fn breaks_off() -> Refusal {
    Refusal::new(Code::FileUnsupported, "picture-incomplete")
}

fn too_many_pixels() -> Refusal {
    too_large(Text::new("picture-too-many-pixels").with("side", MAX_SIDE))
}

fn too_large(text: impl Into<Text>) -> Refusal {
    Refusal::new(Code::FileTooLarge, text)
}
