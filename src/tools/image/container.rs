//! What a file of pixels says of itself before anything of it is decoded: its kind, how many pictures it holds, and how
//! large the largest is. Only the frame that each format puts around its data is read, without setting memory aside.

/// The formats that are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Portable Network Graphics.
    Png,
    /// JPEG.
    Jpeg,
    /// The Graphics Interchange Format.
    Gif,
    /// WebP.
    Webp,
}

/// What was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// The format, by the file's first bytes.
    pub(super) format: Format,
    /// How many frames an animation has, or how many scans a JPEG.
    pub(super) frames: usize,
    /// The most pixels that one of its pictures says it has; for PNG and JPEG the decoder is asked.
    pub(super) pixels: u64,
}

/// Looks at a file; none where it is of no format that is taken, or is not whole.
pub(super) fn look(bytes: &[u8]) -> Option<Seen> {
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        let frames = png(&bytes[8..])?;
        return Some(Seen { format: Format::Png, frames, pixels: 0 });
    }
    if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
        return Some(Seen { format: Format::Jpeg, frames: jpeg(&bytes[2..])?, pixels: 0 });
    }
    let (format, (frames, pixels)) = if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
        (Format::Gif, gif(bytes)?)
    } else if bytes.starts_with(b"RIFF") && bytes.get(8..12)? == b"WEBP" {
        (Format::Webp, webp(bytes.get(12..)?, false)?)
    } else {
        return None;
    };
    (frames > 0).then_some(Seen { format, frames, pixels })
}

/// The frames of a PNG: one, or as many as its chunk `acTL` says. It must have its end.
fn png(mut rest: &[u8]) -> Option<usize> {
    let mut frames = 1;
    loop {
        let length = usize::try_from(u32::from_be_bytes(*rest.first_chunk()?)).ok()?;
        let kind = rest.get(4..8)?;
        if kind == b"IEND" {
            return Some(frames);
        }
        if kind == b"acTL" {
            frames = usize::try_from(u32::from_be_bytes(*rest.get(8..)?.first_chunk()?)).ok()?;
        }
        rest = rest.get(length.checked_add(12)?..)?;
    }
}

/// The scans of a JPEG, which must have its end: decoders fill up with grey what is missing.
fn jpeg(mut rest: &[u8]) -> Option<usize> {
    let mut scans = 0;
    loop {
        let at = rest.iter().position(|byte| *byte == 0xff)?;
        rest = &rest[at + 1..];
        match *rest.first()? {
            // Filling, an escaped 0xff of a scan, and markers without a length.
            0xff => {}
            0x00 | 0x01 | 0xd0..=0xd8 => rest = &rest[1..],
            0xd9 => return (scans > 0).then_some(scans),
            marker => {
                scans += usize::from(marker == 0xda);
                let length = u16::from_be_bytes(*rest.get(1..)?.first_chunk()?);
                rest = rest.get(1 + usize::from(length)..)?;
            }
        }
    }
}

/// The frames of a GIF, and the size of the largest, its screen included.
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
            // Some programs forget the end.
            None | Some(0x3b) => return Some((frames, pixels)),
            Some(_) => return None,
        }
    }
}

/// What comes after a row of data blocks.
fn after_blocks(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        let length = usize::from(*rest.first()?);
        rest = rest.get(1 + length..)?;
        if length == 0 {
            return Some(rest);
        }
    }
}

/// The frames of a WebP, or of one frame of its animation, and the size of the largest.
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
            // A frame holds none itself: a file of nothing but frames within frames would take more stack than there is.
            b"ANMF" if is_frame => return None,
            b"ANMF" => {
                let (inner, largest) = webp(data.get(16..)?, true)?;
                (frames, pixels) = (frames + inner, pixels.max(largest));
            }
            _ => {}
        }
        // Each chunk begins at an even place; what comes after the last is not looked at.
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
    fn what_is_no_picture_is_told_by_its_first_bytes() {
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
            assert_eq!(look(bytes), None, "{bytes:?}");
        }
    }
}
