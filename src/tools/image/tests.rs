use std::io::Cursor;

use image::{DynamicImage, GenericImageView as _, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use proptest::prelude::*;

use super::*;

const RED: Rgb<u8> = Rgb([200, 20, 20]);
const BLUE: Rgb<u8> = Rgb([20, 20, 200]);

/// A picture with a red upper half and a blue lower half.
fn flag(width: u32, height: u32) -> DynamicImage {
    RgbImage::from_fn(width, height, |_, y| if y < height / 2 { RED } else { BLUE }).into()
}

fn file(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, format).unwrap();
    file.into_inner()
}

fn sides(squares: &AvatarSizes) -> Vec<u32> {
    squares.files.iter().map(|(side, _)| *side).collect()
}

fn near(seen: Rgba<u8>, wanted: Rgb<u8>) -> bool {
    seen.0.iter().zip(wanted.0).all(|(seen, wanted)| seen.abs_diff(wanted) < 30)
}

fn code(file: &[u8]) -> Code {
    made(file).unwrap_err().code
}

fn made(file: &[u8]) -> Result<AvatarSizes, Refusal> {
    squares(file, &inspect(file)?)
}

#[test]
fn each_format_becomes_squares_that_are_not_larger_than_it() {
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP] {
        let made = super::tests::made(&file(&flag(300, 200), format)).unwrap();
        assert_eq!((sides(&made), made.encoding), (vec![200, 128, 64], Encoding::Jpeg), "{format:?}");
        for (side, bytes) in &made.files {
            let square = image::load_from_memory_with_format(bytes, ImageFormat::Jpeg).unwrap();
            assert_eq!(square.dimensions(), (*side, *side));
            assert!(near(square.get_pixel(side / 2, side / 4), RED) && near(square.get_pixel(1, side - 2), BLUE));
        }
    }
    assert_eq!(sides(&made(&file(&flag(600, 700), ImageFormat::Jpeg)).unwrap()), [512, 256, 128, 64]);
    let large = made(&file(&flag(2100, 2300), ImageFormat::Png)).unwrap();
    let square = image::load_from_memory(&large.files[0].1).unwrap();
    assert!(near(square.get_pixel(256, 240), RED) && near(square.get_pixel(256, 272), BLUE));
    assert_eq!(sides(&made(&file(&flag(900, 7), ImageFormat::Png)).unwrap()), [7]);
}

#[test]
fn what_can_be_seen_through_stays_so() {
    let glass = RgbaImage::from_pixel(80, 80, Rgba([200, 20, 20, 100]));
    let made = super::tests::made(&file(&glass.into(), ImageFormat::Png)).unwrap();
    assert_eq!((sides(&made), made.encoding), (vec![80, 64], Encoding::Webp));
    let small = image::load_from_memory_with_format(&made.files[1].1, ImageFormat::WebP).unwrap();
    assert_eq!(small.get_pixel(30, 30), Rgba([200, 20, 20, 100]));
}

#[test]
fn what_lacks_its_end_is_damaged() {
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP] {
        let whole = file(&flag(100, 100), format);
        assert!(made(&whole).is_ok());
        for part in [whole.len() / 4, whole.len() / 2, whole.len() - 20] {
            assert_eq!(code(&whole[..part]), Code::FileUnsupported, "{format:?} {part}");
        }
    }
}

#[test]
fn a_picture_without_its_last_bytes_is_told_from_other_files() {
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
        let whole = file(&flag(100, 100), format);
        let refusal = made(&whole[..whole.len() - 10]).map(|_| ()).unwrap_err();
        assert_eq!(refusal.text.id(), "picture-incomplete", "{format:?}");
    }
    assert_eq!(made(b"<svg/>").unwrap_err().text.id(), "picture-unsupported");
}

#[test]
fn colours_of_a_profile_are_converted() {
    // A photograph in Display P3, whose red is more than sRGB has.
    let photograph = include_bytes!("../../../tests/pictures/p3.jpg");
    let made = super::tests::made(photograph).unwrap();
    let square = image::load_from_memory(&made.files[0].1).unwrap();
    let plain = image::load_from_memory(photograph).unwrap();
    let (there, here) = (plain.get_pixel(150, 100), square.get_pixel(100, 100));
    assert_ne!(there.0, here.0, "{there:?}");
    let profile = jpeg::JpegDecoder::new(Cursor::new(photograph)).unwrap().icc_profile().unwrap().unwrap();
    let p3 =
        |pixel: Rgba<u8>| *colour::in_srgb(&RgbaImage::from_pixel(1, 1, pixel).into(), Some(&profile)).get_pixel(0, 0);
    // Mid-grey is the same in both; the purest red of sRGB has a lower red value in P3.
    assert!(near(p3(Rgba([128, 128, 128, 9])), Rgb([128, 128, 128])) && p3(Rgba([128, 128, 128, 9])).0[3] == 9);
    let red = p3(Rgba([234, 51, 35, 255])).0;
    assert!(red[0] > 250 && red[1] < 8 && red[2] < 8, "{red:?}");
    assert_eq!(colour::in_srgb(&flag(2, 2), Some(b"no profile")), flag(2, 2).to_rgba8());
}

#[test]
fn photographs_of_phones_are_accepted() {
    // A picture of one colour is small, however many pixels it has.
    let photograph = RgbImage::from_pixel(8000, 6000, RED);
    let whole = file(&photograph.into(), ImageFormat::Jpeg);
    let seen = inspect(&whole).unwrap();
    assert_eq!((seen.pixels, seen.memory), (48_000_000, 144_000_000));
    let made = super::tests::made(&whole).unwrap();
    assert_eq!(sides(&made), [512, 256, 128, 64]);
    let square = image::load_from_memory(&made.files[0].1).unwrap();
    assert!(near(square.get_pixel(3, 500), RED));
    let mut progressive = whole;
    let at = progressive.windows(2).position(|two| two == [0xff, 0xc0]).unwrap() + 1;
    progressive[at] = 0xc2;
    assert!(container::inspect(&progressive).unwrap().memory > 2 * seen.memory);
    assert_eq!(code(&progressive), Code::FileTooLarge, "its coefficients take more memory than there is for all");
}

#[test]
fn a_long_animation_is_taken_for_its_first_frame() {
    let mut bytes = Vec::new();
    let mut encoder = gif::GifEncoder::new(&mut bytes);
    let frames = (0..150).map(|_| image::Frame::new(flag(20, 20).to_rgba8()));
    encoder.encode_frames(frames).unwrap();
    drop(encoder);
    assert_eq!(sides(&made(&bytes).unwrap()), [20]);
}

#[test]
fn headers_that_lie_about_sizes_cost_nothing() {
    let mut webp = file(&flag(16, 16), ImageFormat::WebP);
    let at = webp.windows(4).position(|four| four == b"VP8L").unwrap() + 9;
    webp[at..at + 4].copy_from_slice(&0x0fff_ffff_u32.to_le_bytes());
    assert_eq!(code(&webp), Code::FileTooLarge);
    let mut gif = file(&flag(16, 16), ImageFormat::Gif);
    gif[6..10].copy_from_slice(&[0xff; 4]);
    assert_eq!(code(&gif), Code::FileTooLarge);
    let mut jpeg = file(&flag(16, 16), ImageFormat::Jpeg);
    let at = jpeg.windows(2).position(|two| two == [0xff, 0xc0]).unwrap() + 5;
    jpeg[at..at + 4].copy_from_slice(&[0x7f; 4]);
    assert_eq!(code(&jpeg), Code::FileTooLarge);
    // 9000 by 9000 pixels would fit into memory.
    jpeg[at..at + 4].copy_from_slice(&[0x23, 0x28, 0x23, 0x28]);
    assert_eq!(code(&jpeg), Code::FileTooLarge);
}

#[test]
fn a_jpeg_of_endless_scans_is_refused_before_it_is_decoded() {
    let mut jpeg = file(&flag(16, 16), ImageFormat::Jpeg);
    let scan = jpeg.windows(2).position(|two| two == [0xff, 0xda]).unwrap();
    let again = jpeg[scan..jpeg.len() - 2].to_vec();
    let end = jpeg.len() - 2;
    jpeg.splice(end..end, again.repeat(MAX_SCANS));
    assert_eq!(code(&jpeg), Code::FileTooLarge);
}

#[test]
fn frames_within_frames_do_not_take_up_the_stack() {
    let depth: u32 = 200_000;
    let frame = |left: u32| [b"ANMF".as_slice(), &(left * 24 - 8).to_le_bytes(), &[0; 16]].concat();
    let frames: Vec<u8> = (1..=depth).rev().flat_map(frame).collect();
    let webp = [b"RIFF\0\0\0\0WEBP".as_slice(), &frames].concat();
    assert!(webp.len() <= MAX_BYTES);
    assert_eq!(code(&webp), Code::FileUnsupported);
}

#[tokio::test]
async fn more_pictures_than_are_made_at_once_wait_for_each_other() {
    let avatar_encoder = AvatarEncoder::default();
    let file = file(&flag(64, 64), ImageFormat::Png);
    let made = (0..10).map(|_| {
        tokio::spawn({
            let (avatar_encoder, file) = (avatar_encoder.clone(), file.clone());
            async move { avatar_encoder.squares(file).await.is_ok() }
        })
    });
    for made in made.collect::<Vec<_>>() {
        assert!(made.await.unwrap());
    }
}

proptest! {
    #[test]
    fn no_damage_makes_it_panic(
        format in prop::sample::select(vec![ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP]),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = file(&flag(20, 12), format);
        for (at, byte) in damage {
            *at.get_mut(&mut bytes) = byte;
        }
        let _ = made(&bytes);
    }
}

/// A chunk of a PNG (PNG specification, section 5.3).
fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut sum = flate2::Crc::new();
    sum.update(name);
    sum.update(data);
    [&u32::try_from(data.len()).unwrap().to_be_bytes(), &name[..], data, &sum.sum().to_be_bytes()].concat()
}

#[test]
fn a_profile_that_unpacks_beyond_measure_is_not_unpacked() {
    use std::io::Write as _;
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(&vec![0; 64 * 1024 * 1024]).unwrap();
    let profile = [b"icc\0\0", &packed.finish().unwrap()[..]].concat();
    let plain = samples().into_iter().find(|file| file.starts_with(b"\x89PNG")).unwrap();
    // After the signature and the header.
    let (head, rest) = plain.split_at(8 + 25);
    let file = [head, &chunk(b"iCCP", &profile), rest].concat();
    let seen = container::inspect(&file).unwrap();
    assert!(!decode(&file, &seen).is_ok_and(|decoded| decoded.profile.is_some()));
}
