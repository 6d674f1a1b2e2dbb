//! Inspection of an image file before it is decoded: its format, size and the memory needed. Only the container around
//! the pixel data is read, without allocations in proportion to declared sizes.

/// The supported formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Portable Network Graphics.
    Png,
    /// JPEG.
    Jpeg,
    /// Graphics Interchange Format.
    Gif,
    /// WebP.
    Webp,
}

/// Result of the inspection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// The format according to the first bytes.
    pub(super) format: Format,
    /// Number of scans of a JPEG, each of which can cover the whole picture; one for other formats.
    pub(super) scans: usize,
    /// Declared number of pixels of its largest picture.
    pub(super) pixels: u64,
    /// Memory for decoding the first picture in addition to the file, in bytes.
    pub(super) memory: u64,
}

/// Reason for not decoding a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Its first bytes match none of the formats.
    Unknown,
    /// Its container is damaged or incomplete.
    BreaksOff,
}

/// Inspects a file.
pub(super) fn inspect(bytes: &[u8]) -> Result<Seen, Unreadable> {
    let seen = if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        png(bytes.get(8..).unwrap_or_default())
    } else if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
        jpeg(bytes.get(2..).unwrap_or_default())
    } else if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
        // The screen and a frame with four channels, and the frame's indices.
        gif(bytes).filter(|(frames, _)| *frames > 0).map(|(_, pixels)| of(Format::Gif, pixels, 9))
    } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        // The canvas and a frame with four channels, and the planes of a lossy frame.
        let seen = bytes.get(12..).and_then(|rest| webp(rest, false)).filter(|(frames, _)| *frames > 0);
        seen.map(|(_, pixels)| of(Format::Webp, pixels, 10))
    } else {
        return Err(Unreadable::Unknown);
    };
    seen.ok_or(Unreadable::BreaksOff)
}

/// A picture of one scan, with the number of bytes that its decoder needs for each pixel.
fn of(format: Format, pixels: u64, bytes: u64) -> Seen {
    Seen { format, scans: 1, pixels, memory: pixels * bytes }
}

/// Inspects a PNG, which must be complete.
fn png(mut rest: &[u8]) -> Option<Seen> {
    let side = |at: usize| Some(u64::from(u32::from_be_bytes(*rest.get(at..)?.first_chunk()?)));
    let pixels = side(8)?.checked_mul(side(12)?)?;
    // Palettes are decoded to colours, and transparency adds a channel.
    let channels = match rest.get(17)? {
        0 | 4 => 2,
        _ => 4,
    };
    let bytes = if *rest.get(16)? == 16 { 2 * channels } else { channels };
    loop {
        let length = usize::try_from(u32::from_be_bytes(*rest.first_chunk()?)).ok()?;
        if rest.get(4..8)? == b"IEND" {
            return Some(Seen { memory: pixels.checked_mul(bytes)?, ..of(Format::Png, pixels, 0) });
        }
        rest = rest.get(length.checked_add(12)?..)?;
    }
}

/// Inspects a JPEG, which must be complete: decoders fill missing parts with grey.
fn jpeg(mut rest: &[u8]) -> Option<Seen> {
    let (mut scans, mut pixels, mut coefficients) = (0, 0, 0);
    let mut is_progressive = false;
    loop {
        let at = rest.iter().position(|byte| *byte == 0xff)?;
        rest = rest.get(at + 1..)?;
        match *rest.first()? {
            // Fill bytes; then an escaped 0xff of a scan, and markers without a length.
            0xff => {}
            0x00 | 0x01 | 0xd0..=0xd8 => rest = rest.get(1..)?,
            0xd9 if scans == 0 => return None,
            0xd9 => {
                // Three channels of each pixel. With several scans, the coefficients are kept until the last one.
                let kept = if is_progressive || scans > 1 { coefficients } else { 0 };
                return Some(Seen { format: Format::Jpeg, scans, pixels, memory: 3 * pixels + kept });
            }
            marker => {
                scans += usize::from(marker == 0xda);
                let length = u16::from_be_bytes(*rest.get(1..)?.first_chunk()?);
                if matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) {
                    is_progressive |= !matches!(marker, 0xc0 | 0xc1);
                    let (size, kept) = jpeg_frame(rest.get(3..)?)?;
                    (pixels, coefficients) = (pixels.max(size), coefficients.max(kept));
                }
                rest = rest.get(1 + usize::from(length)..)?;
            }
        }
    }
}

/// The pixels of a JPEG's frame, and the size of its coefficients in bytes: two for each sample of each component.
fn jpeg_frame(frame: &[u8]) -> Option<(u64, u64)> {
    let side = |at: usize| Some(u64::from(u16::from_be_bytes(*frame.get(at..)?.first_chunk()?)));
    let pixels = side(1)? * side(3)?;
    let components = frame.get(6..)?.chunks(3).take(usize::from(*frame.get(5)?));
    let factors: Vec<(u64, u64)> = components
        .map(|component| component.get(1).map_or((0, 0), |factors| (u64::from(factors >> 4), u64::from(factors & 0xf))))
        .collect();
    let widest = factors.iter().map(|(width, _)| *width).max()?.max(1);
    let highest = factors.iter().map(|(_, height)| *height).max()?.max(1);
    let samples: u64 = factors.iter().map(|(width, height)| pixels * width * height / (widest * highest)).sum();
    Some((pixels, 2 * samples))
}

/// The number of frames of a GIF, and the pixels of the largest one or the screen.
fn gif(bytes: &[u8]) -> Option<(usize, u64)> {
    let area = |at: &[u8]| {
        let side = |at: &[u8]| Some(u64::from(u16::from_le_bytes(*at.first_chunk()?)));
        Some(side(at)? * side(at.get(2..)?)?)
    };
    let table = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    let mut pixels = area(bytes.get(6..)?)?;
    let mut frames = 0;
    let mut rest = bytes.get(13 + table(*bytes.get(10)?)..)?;
    loop {
        match rest.first() {
            Some(0x21) => rest = after_blocks(rest.get(2..)?)?,
            Some(0x2c) => {
                frames += 1;
                pixels = pixels.max(area(rest.get(5..)?)?);
                rest = after_blocks(rest.get(11 + table(*rest.get(9)?)..)?)?;
            }
            // Some programs omit the trailer.
            None | Some(0x3b) => return Some((frames, pixels)),
            Some(_) => return None,
        }
    }
}

/// The bytes after a sequence of data blocks.
fn after_blocks(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        let length = usize::from(*rest.first()?);
        rest = rest.get(1 + length..)?;
        if length == 0 {
            return Some(rest);
        }
    }
}

/// The number of frames of a WebP or of one frame of its animation, and the pixels of the largest one.
fn webp(mut rest: &[u8], is_frame: bool) -> Option<(usize, u64)> {
    let (mut frames, mut pixels) = (0, 0);
    while !rest.is_empty() {
        let length = usize::try_from(u32::from_le_bytes(*rest.get(4..)?.first_chunk()?)).ok()?;
        let data = rest.get(8..length.checked_add(8)?)?;
        match &rest[..4] {
            b"VP8 " => {
                let side = |at: usize| Some(u64::from(u16::from_le_bytes(*data.get(at..)?.first_chunk()?) & 0x3fff));
                (frames, pixels) = (frames + 1, pixels.max(side(6)? * side(8)?));
            }
            b"VP8L" => {
                let bits = u32::from_le_bytes(*data.get(1..)?.first_chunk()?);
                let side = |shift: u32| u64::from((bits >> shift) & 0x3fff) + 1;
                (frames, pixels) = (frames + 1, pixels.max(side(0) * side(14)));
            }
            b"VP8X" => {
                let side = |at: usize| {
                    let bytes = data.get(at..at + 3)?;
                    Some(u64::from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0])) + 1)
                };
                pixels = pixels.max(side(4)? * side(7)?);
            }
            // Frames must not be nested: deep nesting would overflow the stack.
            b"ANMF" if is_frame => return None,
            b"ANMF" => {
                let (inner, largest) = webp(data.get(16..)?, true)?;
                (frames, pixels) = (frames + inner, pixels.max(largest));
            }
            _ => {}
        }
        // Chunks are padded to an even length; bytes after the last chunk are ignored.
        rest = rest.get(8 + length + length % 2..).unwrap_or_default();
        if rest.len() < 8 {
            break;
        }
    }
    Some((frames, pixels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_are_refused_by_their_first_bytes() {
        for bytes in [
            &b""[..],
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            b"<!doctype html>",
            b"BM\x00\x00",
            b"%PDF-1.7",
            b"GIF89a",
            b"RIFF\x04\x00\x00\x00WEBP",
            b"RIFF\x04\x00\x00\x00WAVE",
            b"\x89PNG\r\n\x1a\n",
            b"\xff\xd8\xff",
            b"\xff\xd8\xff\xd9",
        ] {
            assert!(inspect(bytes).is_err(), "{bytes:?}");
        }
    }
}
