use std::io::Cursor;

use image::{DynamicImage, GenericImageView as _, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use proptest::prelude::*;

use super::*;

const RED: Rgb<u8> = Rgb([200, 20, 20]);
const BLUE: Rgb<u8> = Rgb([20, 20, 200]);

/// Red above, blue below.
fn flag(width: u32, height: u32) -> DynamicImage {
    RgbImage::from_fn(width, height, |_, y| if y < height / 2 { RED } else { BLUE }).into()
}

fn file(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, format).unwrap();
    file.into_inner()
}

fn sides(squares: &Squares) -> Vec<u32> {
    squares.files.iter().map(|(side, _)| *side).collect()
}

fn near(seen: Rgba<u8>, wanted: Rgb<u8>) -> bool {
    seen.0.iter().zip(wanted.0).all(|(seen, wanted)| seen.abs_diff(wanted) < 30)
}

fn code(file: &[u8]) -> Code {
    squares(file).unwrap_err().code
}

#[test]
fn each_format_becomes_squares_that_are_not_larger_than_it() {
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP] {
        let made = squares(&file(&flag(300, 200), format)).unwrap();
        assert_eq!((sides(&made), made.encoding), (vec![200, 128, 64], Encoding::Jpeg), "{format:?}");
        for (side, bytes) in &made.files {
            let square = image::load_from_memory_with_format(bytes, ImageFormat::Jpeg).unwrap();
            assert_eq!(square.dimensions(), (*side, *side));
            assert!(near(square.get_pixel(side / 2, side / 4), RED) && near(square.get_pixel(1, side - 2), BLUE));
        }
    }
    assert_eq!(sides(&squares(&file(&flag(600, 700), ImageFormat::Jpeg)).unwrap()), [512, 256, 128, 64]);
    let large = squares(&file(&flag(2100, 2300), ImageFormat::Png)).unwrap();
    let square = image::load_from_memory(&large.files[0].1).unwrap();
    assert!(near(square.get_pixel(256, 240), RED) && near(square.get_pixel(256, 272), BLUE));
    assert_eq!(sides(&squares(&file(&flag(900, 7), ImageFormat::Png)).unwrap()), [7]);
}

#[test]
fn what_can_be_seen_through_stays_so() {
    let glass = RgbaImage::from_pixel(80, 80, Rgba([200, 20, 20, 100]));
    let made = squares(&file(&glass.into(), ImageFormat::Png)).unwrap();
    assert_eq!((sides(&made), made.encoding), (vec![80, 64], Encoding::Webp));
    let small = image::load_from_memory_with_format(&made.files[1].1, ImageFormat::WebP).unwrap();
    assert_eq!(small.get_pixel(30, 30), Rgba([200, 20, 20, 100]));
}

#[test]
fn what_lacks_its_end_is_damaged() {
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP] {
        let whole = file(&flag(100, 100), format);
        assert!(squares(&whole).is_ok());
        for part in [whole.len() / 4, whole.len() / 2, whole.len() - 20] {
            assert_eq!(code(&whole[..part]), Code::FileUnsupported, "{format:?} {part}");
        }
    }
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
}

#[test]
fn a_jpeg_of_endless_scans_is_refused_before_it_is_decoded() {
    let mut jpeg = file(&flag(16, 16), ImageFormat::Jpeg);
    let scan = jpeg.windows(2).position(|two| two == [0xff, 0xda]).unwrap();
    let again = jpeg[scan..jpeg.len() - 2].to_vec();
    let end = jpeg.len() - 2;
    jpeg.splice(end..end, again.repeat(MAX_FRAMES));
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
    let studio = Studio::default();
    let file = file(&flag(64, 64), ImageFormat::Png);
    let made = (0..10).map(|_| {
        tokio::spawn({
            let (studio, file) = (studio.clone(), file.clone());
            async move { studio.squares(file).await.is_ok() }
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
        let _ = squares(&bytes);
    }
}
