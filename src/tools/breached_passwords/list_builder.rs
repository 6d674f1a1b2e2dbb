//! Construction of a [`super::BreachedList`] from the public list of Have I Been Pwned. Memory is constant: hashes wait
//! in an unnamed temporary file until their number is known.

use std::fs::{File, Permissions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek as _, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::PasswordSha1;
use super::list::{HEADER_BYTES, Header, MAX_IN_BUCKET, Slot};
use crate::tools::{io_error, text};

/// Maximum length of a line, in bytes; lines of the public list have about 50.
const MAX_LINE: u64 = 256;

/// Number of bytes of a hash that wait in the temporary file; a list stores 42 bits at most.
const KEPT_BYTES: usize = 6;

/// Result of a construction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Built {
    /// Number of hashes in the list.
    pub hashes: u32,
    /// Number of hashes of the input that are too rare.
    pub rare: u64,
    /// Length of the file in bytes.
    pub bytes: u64,
}

/// Builds the list `output` of all hashes of the input that were found at least `min_count` times. The input has a line
/// `SHA1:COUNT` for each hash, sorted by hash. An existing file is replaced once the new one is complete.
///
/// # Errors
/// A sentence that says what is wrong, with the number of the line.
pub fn build(input: impl BufRead, output: &Path, min_count: u64) -> Result<Built, String> {
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = text::without_url(&output.to_string_lossy()).into_owned();
    let failed = |error: io::Error| format!("{name}: {}", io_error::describe(&error));
    let mut waiting = tempfile::tempfile_in(folder).map_err(&failed)?;
    let (hashes, rare) = collect(input, min_count, BufWriter::new(&mut waiting), &failed)?;
    // All users may read it: it is made of public data.
    let mode = Permissions::from_mode(0o644);
    let draft = tempfile::Builder::new().prefix(".breached-passwords-").permissions(mode).tempfile_in(folder);
    let mut draft = draft.map_err(&failed)?;
    let header = write(&mut waiting, hashes, draft.as_file_mut()).map_err(&failed)?.ok_or(UNEVEN)?;
    draft.as_file().sync_all().map_err(&failed)?;
    draft.persist(output).map_err(|error| failed(error.error))?;
    Ok(Built { hashes, rare, bytes: header.file_bytes() })
}

/// Copies the start of each frequent hash. Returns their number, and the number of rare ones.
fn collect(
    mut input: impl BufRead,
    min_count: u64,
    mut waiting: impl Write,
    failed: &impl Fn(io::Error) -> String,
) -> Result<(u32, u64), String> {
    let (mut hashes, mut rare, mut number) = (0_u32, 0, 0_u64);
    let mut last = None;
    let mut line = Vec::new();
    loop {
        line.clear();
        number += 1;
        let wrong = |problem: &str| format!("line {number}: {problem}");
        let read = input.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
        if read.map_err(|error| wrong(&io_error::describe(&error)))? == 0 {
            break;
        }
        let text = line.trim_ascii();
        if text.is_empty() {
            continue;
        }
        let (hash, count) = parse_row(text).map_err(wrong)?;
        if last.is_some_and(|last| hash < last) {
            return Err(wrong(UNSORTED));
        }
        if last.replace(hash) == Some(hash) {
            continue;
        }
        if count < min_count {
            rare += 1;
            continue;
        }
        hashes = hashes.checked_add(1).ok_or_else(|| wrong(TOO_MANY))?;
        waiting.write_all(&hash.0[..KEPT_BYTES]).map_err(failed)?;
    }
    waiting.flush().map_err(failed)?;
    Ok((hashes, rare))
}

const UNSORTED: &str = "the hashes are not sorted. Sort the lines first: `LC_ALL=C sort`";

const UNEVEN: &str = "the hashes are not evenly distributed, as those of passwords are";

const TOO_MANY: &str = "there are too many hashes. Leave out rare ones with a higher --min-count";

/// Hash and count of a line of the public list, `SHA1:COUNT`.
pub(crate) fn parse_row(text: &[u8]) -> Result<(PasswordSha1, u64), &'static str> {
    const WRONG: &str = "this is not a SHA-1 hash and a count, such as 5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8:52";
    let colon = text.iter().position(|byte| *byte == b':').unwrap_or(text.len());
    let (hex, count) = text.split_at(colon);
    if hex.len() == 32 && hex.iter().all(u8::is_ascii_hexdigit) {
        return Err("this is an NTLM hash. Use the list of SHA-1 hashes");
    }
    let count = count.strip_prefix(b":").and_then(|count| str::from_utf8(count).ok()).ok_or(WRONG)?;
    let is_number = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
    if hex.len() != 40 || !is_number {
        return Err(WRONG);
    }
    let mut hash = [0; 20];
    for (byte, digits) in hash.iter_mut().zip(hex.as_chunks::<2>().0) {
        let [high, low] = digits.map(|digit| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok()));
        *byte = (high.ok_or(WRONG)? << 4) | low.ok_or(WRONG)?;
    }
    // A count beyond 64 bits is merely large.
    Ok((PasswordSha1(hash), count.parse().unwrap_or(u64::MAX)))
}

/// Writes a list of the waiting hashes; `None` if a bucket is too full.
fn write(waiting: &mut File, hashes: u32, output: &mut File) -> io::Result<Option<Header>> {
    let bucket_bits = Header::bucket_bits(hashes);
    output.write_all(&[0; HEADER_BYTES])?;
    let checksum = write_body(waiting, bucket_bits, BufWriter::new(&mut *output))?;
    let header = checksum.map(|checksum| Header { bucket_bits, hashes, checksum });
    if let Some(header) = header {
        output.rewind()?;
        output.write_all(&header.to_bytes())?;
    }
    Ok(header)
}

/// Writes index and entries, and returns their checksum; `None` if a bucket is too full.
fn write_body(waiting: &mut File, bucket_bits: u16, to: impl Write) -> io::Result<Option<u32>> {
    let mut writer = Summed { to, checksum: crc32fast::Hasher::new() };
    if write_index(Waiting::new(waiting)?, bucket_bits, &mut writer)? > MAX_IN_BUCKET {
        return Ok(None);
    }
    for start in Waiting::new(waiting)? {
        writer.write_all(&Slot::of(start?, bucket_bits).entry)?;
    }
    writer.flush()?;
    Ok(Some(writer.checksum.finalize()))
}

/// Writes the number of hashes before each bucket, and the number of all. Returns the largest number in one bucket.
fn write_index(waiting: Waiting<'_>, bucket_bits: u16, writer: &mut impl Write) -> io::Result<u32> {
    let buckets = 1_u64 << bucket_bits;
    let (mut next, mut start, mut before, mut largest) = (0, 0, 0_u32, 0);
    for bytes in waiting {
        let slot = Slot::of(bytes?, bucket_bits);
        while next <= slot.bucket {
            writer.write_all(&before.to_be_bytes())?;
            (next, start) = (next + 1, before);
        }
        before += 1;
        largest = largest.max(before - start);
    }
    for _ in next..=buckets {
        writer.write_all(&before.to_be_bytes())?;
    }
    Ok(largest)
}

/// The waiting hashes, from the first one: their first bytes, and zeros.
struct Waiting<'a>(BufReader<&'a mut File>);

impl<'a> Waiting<'a> {
    fn new(file: &'a mut File) -> io::Result<Self> {
        file.rewind()?;
        Ok(Self(BufReader::new(file)))
    }
}

impl Iterator for Waiting<'_> {
    type Item = io::Result<[u8; 8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let is_end = match self.0.fill_buf() {
            Ok(bytes) => bytes.is_empty(),
            Err(error) => return Some(Err(error)),
        };
        let mut start = [0; 8];
        (!is_end).then(|| self.0.read_exact(&mut start[..KEPT_BYTES]).map(|()| start))
    }
}

/// A writer that computes the checksum of its bytes.
struct Summed<W> {
    to: W,
    checksum: crc32fast::Hasher,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.checksum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::tools::breached_passwords::BreachedList;
    use crate::tools::password::Password;

    const PASSWORD: &str = "5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8";
    const LETMEIN: &str = "B7A875FC1EA228B9061041B7CEC4BD3C52AB3CE3";

    fn built(text: &str, min_count: u64) -> (TempDir, Result<(Built, BreachedList), String>) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("list");
        let built = build(text.as_bytes(), &path, min_count);
        let built = built.map(|built| (built, BreachedList::open(&path).unwrap()));
        (folder, built)
    }

    fn contains(list: &BreachedList, password: &str) -> bool {
        list.contains(PasswordSha1::of(&Password::new(password))).unwrap()
    }

    #[test]
    fn hashes_are_read_in_either_case_with_either_line_break() {
        let lower = PASSWORD.to_lowercase();
        for text in [
            format!("{PASSWORD}:52\n{LETMEIN}:7\n"),
            format!("{lower}:52\r\n{LETMEIN}:7\r\n\r\n"),
            format!("{PASSWORD}:52\n{lower}:52\n{LETMEIN}:99999999999999999999999"),
        ] {
            let (_folder, built) = built(&text, 1);
            let (built, list) = built.unwrap();
            assert_eq!((built.hashes, built.rare, list.hashes()), (2, 0, 2), "{text}");
            list.verify().unwrap();
            assert!(contains(&list, "password") && contains(&list, "letmein"));
            assert!(!contains(&list, "lantern otter drizzle pebble"));
        }
    }

    #[test]
    fn rare_hashes_are_left_out() {
        let (folder, built) = built(&format!("{PASSWORD}:52\n{LETMEIN}:7\n"), 8);
        let (built, list) = built.unwrap();
        let bytes = fs::metadata(folder.path().join("list")).unwrap().len();
        assert_eq!(built, Built { hashes: 1, rare: 1, bytes });
        assert!(contains(&list, "password") && !contains(&list, "letmein"));
    }

    #[test]
    fn an_empty_list_contains_nothing() {
        let (_folder, built) = built("", 1);
        assert!(!contains(&built.unwrap().1, "password"));
    }

    #[test]
    fn wrong_lines_are_refused_with_their_number() {
        let long = "A".repeat(5000);
        for (second, problem) in [
            ("8846F7EAEE8FB117AD06BDD830B7586C:52", "line 2: this is an NTLM hash. Use the list of SHA-1 hashes"),
            (LETMEIN, "line 2: this is not a SHA-1 hash and a count"),
            (&format!("{LETMEIN}:"), "line 2: this is not a SHA-1 hash and a count"),
            (&format!("{LETMEIN}:-1"), "line 2: this is not a SHA-1 hash and a count"),
            (&format!("{LETMEIN}0:1"), "line 2: this is not a SHA-1 hash and a count"),
            (&format!("{}G:1", &LETMEIN[..39]), "line 2: this is not a SHA-1 hash and a count"),
            ("<html>", "line 2: this is not a SHA-1 hash and a count"),
            (&long, "line 2: this is not a SHA-1 hash and a count"),
            (&format!("{}:1", "0".repeat(40)), "line 2: the hashes are not sorted"),
        ] {
            let (folder, built) = built(&format!("{PASSWORD}:52\n{second}\n"), 1);
            let found = built.map(|_| ()).unwrap_err();
            assert!(found.starts_with(problem), "{second}: {found}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
        }
    }

    #[test]
    fn a_failure_leaves_the_previous_list() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("list");
        build(format!("{PASSWORD}:52\n").as_bytes(), &path, 1).unwrap();
        assert!(build("nonsense".as_bytes(), &path, 1).is_err());
        assert!(contains(&BreachedList::open(&path).unwrap(), "password"));
        build(format!("{LETMEIN}:7\n").as_bytes(), &path, 1).unwrap();
        let replaced = BreachedList::open(&path).unwrap();
        assert!(contains(&replaced, "letmein") && !contains(&replaced, "password"));
    }

    #[test]
    fn hashes_that_crowd_in_one_bucket_are_refused() {
        let text: String = (0..2000).map(|number| format!("{number:040X}:1\n")).collect();
        let (_folder, built) = built(&text, 1);
        assert!(built.map(|_| ()).unwrap_err().contains("not evenly distributed"));
    }
}
