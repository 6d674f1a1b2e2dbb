//! A full disk.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::database::{Kind, Place, run};
use crate::load::{Ledger, Load};
use crate::outcome::{Findings, Outcome, because, wait_until};
use crate::rows::Lab;
use crate::service::Service;

/// Reason to skip these rows.
pub(super) fn left_out() -> Option<&'static str> {
    let root = rustix::process::geteuid().is_root();
    (!root).then_some("only root can mount a small file system")
}

/// A small file system, unmounted on drop.
struct Disk(PathBuf);

impl Disk {
    fn mount(place: &Place) -> Outcome<Self> {
        let path = place.folder.path().join("disk");
        std::fs::create_dir(&path)?;
        run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"]).arg(&path))?;
        Ok(Self(path))
    }

    /// Uses up all free space.
    fn fill(&self) -> Outcome<PathBuf> {
        let path = self.0.join("filler");
        let mut file = std::fs::File::create(&path)?;
        for size in [64 * 1024, 512] {
            while std::io::Write::write_all(&mut file, &vec![1; size]).is_ok() {}
        }
        Ok(path)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(error) = run(Command::new("umount").arg("--lazy").arg(&self.0)) {
            eprintln!("{error}");
        }
    }
}

/// Fills the disk of database and avatars, and frees space again.
pub(super) async fn full(_: &Lab, _: Kind) -> Outcome<Findings> {
    let mut place = Place::sqlite()?;
    let disk = Disk::mount(&place)?;
    place.url = format!("sqlite://{}", disk.0.join("vestibule.db").display());
    let media = disk.0.join("media");
    let media_url = format!("file:{}", media.display());
    let service = Service::start(&place, &[("VESTIBULE_MEDIA_URL", &media_url)]).await?;
    let ledger = Arc::new(Ledger::default());
    let admin = service.admin().await?;
    let load = Load::start(&ledger, &admin, (3, 0), Duration::from_millis(50));
    tokio::time::sleep(Duration::from_secs(1)).await;
    admin.upload(&picture()).await?.must_succeed()?;
    let files = files_in(&media)?;
    // Signed in, but no write with the token yet.
    let reader = service.admin().await?;

    let filler = disk.fill()?;
    let count = ledger.answers().len();
    let refused = async || {
        Ok(ledger.answers().iter().skip(count).any(|seen| seen.code.as_deref() == Some("SERVICE_UNAVAILABLE")))
    };
    wait_until(Duration::from_secs(20), refused).await.map_err(|error| format!("no write was refused: {error}"))?;
    for _ in 0..20 {
        reader.me().await?.must_succeed()?;
        let login = service.client().login("admin@localhost", "a wrong password").await?;
        // A small write can still succeed by reusing space of the write-ahead log.
        if login.code() != Some("INVALID_CREDENTIALS") {
            login.must_be("SERVICE_UNAVAILABLE")?;
        }
    }
    let upload = admin.upload(&picture()).await?;
    upload.must_be("SERVICE_UNAVAILABLE")?;
    because(files_in(&media)? == files, || format!("{files} files became {:?}", files_in(&media)))?;

    std::fs::remove_file(filler)?;
    let (before, made_room) = (ledger.acknowledged(), Instant::now());
    wait_until(Duration::from_secs(10), async || Ok(ledger.acknowledged() > before)).await?;
    let recovery = Some(made_room.elapsed());
    load.stop().await;
    admin.upload(&picture()).await?.must_succeed()?;
    ledger.check_answers(&["SERVICE_UNAVAILABLE"], Duration::from_secs(10), false)?;
    let findings = ledger.compare(&place, &service.client()).await?;
    place.check_integrity().await?;
    service.check_log()?;
    service.kill().await?;
    drop(disk);
    Ok(Findings { recovery, ..findings })
}

fn files_in(folder: &std::path::Path) -> Outcome<usize> {
    let mut count = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        count += if path.is_dir() { files_in(&path)? } else { 1 };
    }
    Ok(count)
}

/// An image of 16 by 16 pixels: a PNG of one stored block (RFC 2083, RFC 1950, RFC 1951).
fn picture() -> Vec<u8> {
    const SIDE: u8 = 16;
    let row = [vec![0], (0..SIDE * 3).collect()].concat();
    let pixels: Vec<u8> = std::iter::repeat_n(row, usize::from(SIDE)).flatten().collect();
    let (mut one, mut two) = (1_u32, 0_u32);
    for byte in &pixels {
        one = (one + u32::from(*byte)) % 65521;
        two = (two + one) % 65521;
    }
    let length = u16::try_from(pixels.len()).unwrap_or(u16::MAX);
    let mut data = vec![0x78, 1, 1];
    data.extend(length.to_le_bytes());
    data.extend((!length).to_le_bytes());
    data.extend(pixels);
    data.extend((two << 16 | one).to_be_bytes());
    let head = [0, 0, 0, SIDE, 0, 0, 0, SIDE, 8, 2, 0, 0, 0];
    let parts = [(*b"IHDR", head.to_vec()), (*b"IDAT", data), (*b"IEND", Vec::new())];
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, data) in parts {
        png.extend(u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes());
        let named = [name.as_slice(), &data].concat();
        png.extend(&named);
        png.extend(crc(&named).to_be_bytes());
    }
    png
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1)))
    })
}
