//! Pictures that people send, made into small ones that are safe to show: whatever comes in is decoded, within limits,
//! and written anew, so that nothing of the file itself is kept: no place where it was taken, no name, no script.

use std::io::Cursor;
use std::sync::Arc;

use image::codecs::{gif, jpeg, png, webp};
use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageError, Limits};
use tokio::sync::Semaphore;

use crate::error::{Code, Error, Refusal, Result};
use container::Format;

mod container;
#[cfg(test)]
mod tests;

/// The largest file, in bytes.
pub const MAX_BYTES: usize = 5 * 1024 * 1024;

/// The most pixels that a picture may have: 4096 by 4096, or as many of another shape.
const MAX_PIXELS: u64 = 4096 * 4096;

/// The most frames of an animation, of which the first is taken, and the most scans of a JPEG, each of which may go over
/// the whole picture.
const MAX_FRAMES: usize = 100;

/// The most bytes that a decoded picture may take: the most pixels, in four colours of eight bits.
const MAX_DECODED: u64 = MAX_PIXELS * 4;

/// The most bytes that a decoder may take beside its input. That of progressive JPEG holds six bytes for each pixel and
/// writes three; the others need less.
const MAX_MEMORY: u64 = MAX_PIXELS * 10;

/// How many pictures are decoded at once. With the limits above, they take 320 MiB at the very most, and a tenth of that
/// for a photograph as cameras make it.
const AT_ONCE: usize = 2;

/// The sides of the squares that are made, in pixels, the largest first.
const SIDES: [u32; 4] = [512, 256, 128, 64];

/// How good a JPEG is, of 100: beyond it, files grow faster than they get better.
const QUALITY: u8 = 85;

/// What small pictures are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// For those that can be seen through nowhere: a sixth of what the same photograph takes without loss, and known to
    /// everything that shows pictures.
    Jpeg,
    /// For those that can be seen through, most of them drawn: WebP without loss, smaller than PNG and known to every
    /// browser and telephone.
    Webp,
}

/// Square pictures of the same thing in several sizes.
#[derive(Clone, Debug)]
pub struct Squares {
    /// What they are written in.
    pub encoding: Encoding,
    /// Each with its side in pixels; the largest first, none larger than what was sent.
    pub files: Vec<(u32, Vec<u8>)>,
}

/// Where pictures are made: two at a time. Its clones share that limit.
#[derive(Clone, Debug)]
pub struct Studio(Arc<Semaphore>);

impl Default for Studio {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Studio {
    /// Makes squares of a picture's middle, on a thread for blocking work.
    ///
    /// # Errors
    /// [`Code::FileTooLarge`] where the file has too many bytes, pixels or frames; [`Code::FileUnsupported`] where it
    /// is no PNG, JPEG, WebP or GIF, or damaged.
    pub async fn squares(&self, file: impl AsRef<[u8]> + Send + 'static) -> Result<Squares> {
        let permit = Arc::clone(&self.0).acquire_owned().await.map_err(Error::internal)?;
        let made = tokio::task::spawn_blocking(move || {
            // The permit is held until the work has ended, even where nobody waits for it any more.
            let _permit = permit;
            squares(file.as_ref())
        });
        match made.await {
            Ok(made) => Ok(made?),
            Err(error) if error.is_panic() => {
                tracing::warn!("a decoder panicked over a picture");
                Err(unsupported().into())
            }
            Err(error) => Err(Error::internal(error)),
        }
    }
}

fn squares(file: &[u8]) -> Result<Squares, Refusal> {
    let (whole, orientation) = decode(file)?;
    let side = whole.width().min(whole.height());
    let (left, top) = ((whole.width() - side) / 2, (whole.height() - side) / 2);
    let mut square = if whole.width() == whole.height() { whole } else { whole.crop_imm(left, top, side, side) };
    if side > SIDES[0] * 4 {
        // Means of blocks, which cost a fraction of the fine filter and do not show where that follows.
        square = square.thumbnail_exact(SIDES[0] * 2, SIDES[0] * 2);
    }
    if side > SIDES[0] {
        square = square.resize_exact(SIDES[0], SIDES[0], FilterType::CatmullRom);
    }
    square.apply_orientation(orientation);
    let (encoding, mut square) = match DynamicImage::from(square.to_rgba8()) {
        pixels if pixels.as_rgba8().is_some_and(|image| image.pixels().all(|pixel| pixel.0[3] == u8::MAX)) => {
            (Encoding::Jpeg, DynamicImage::from(pixels.to_rgb8()))
        }
        pixels => (Encoding::Webp, pixels),
    };
    let largest = side.min(SIDES[0]);
    let mut files = vec![(largest, encode(&square, encoding)?)];
    for side in SIDES.into_iter().filter(|side| *side < largest) {
        square = square.resize_exact(side, side, FilterType::CatmullRom);
        files.push((side, encode(&square, encoding)?));
    }
    Ok(Squares { encoding, files })
}

/// The file's first picture, and how it is to be turned.
fn decode(file: &[u8]) -> Result<(DynamicImage, Orientation), Refusal> {
    if file.len() > MAX_BYTES {
        return Err(too_large("The file must have 5 MB at most."));
    }
    let seen = container::look(file).ok_or_else(unsupported)?;
    if seen.frames > MAX_FRAMES {
        return Err(too_large("The animation has too many frames: send a single picture."));
    }
    if seen.pixels > MAX_PIXELS {
        return Err(too_many_pixels());
    }
    let reader = Cursor::new(file);
    match seen.format {
        Format::Png => take(png::PngDecoder::new(reader)),
        Format::Jpeg => take(jpeg::JpegDecoder::new(reader)),
        Format::Gif => take(gif::GifDecoder::new(reader)),
        Format::Webp => take(webp::WebPDecoder::new(reader)),
    }
}

fn take(decoder: Result<impl ImageDecoder, ImageError>) -> Result<(DynamicImage, Orientation), Refusal> {
    let mut decoder = decoder.map_err(|_| unsupported())?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(unsupported());
    }
    if u64::from(width) * u64::from(height) > MAX_PIXELS || decoder.total_bytes() > MAX_DECODED {
        return Err(too_many_pixels());
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_MEMORY);
    let refused = |error| if matches!(error, ImageError::Limits(_)) { too_many_pixels() } else { unsupported() };
    decoder.set_limits(limits).map_err(refused)?;
    // A picture whose description is damaged is still a picture.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok((DynamicImage::from_decoder(decoder).map_err(refused)?, orientation))
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

/// Asserts that the frame of a file tells no fewer pixels than its decoder: they are what refuses a file before that.
#[cfg(any(test, fuzzing))]
pub(super) fn check_frame(file: &[u8]) {
    let Some(seen) = container::look(file) else { return };
    let reader = Cursor::new(file);
    let size = match seen.format {
        Format::Gif => gif::GifDecoder::new(reader).map(|decoder| decoder.dimensions()),
        Format::Webp => webp::WebPDecoder::new(reader).map(|decoder| decoder.dimensions()),
        // Of these two the decoder alone is asked.
        Format::Png | Format::Jpeg => return,
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
    Refusal::new(Code::FileUnsupported, "The file is no PNG, JPEG, WebP or GIF, or it is damaged.")
}

fn too_many_pixels() -> Refusal {
    too_large("The picture must have 4096 by 4096 pixels at most.")
}

fn too_large(message: &str) -> Refusal {
    Refusal::new(Code::FileTooLarge, message)
}
