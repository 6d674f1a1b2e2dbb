//! A service that returns the hashes of breached passwords by their first five characters, as the range API of Have I
//! Been Pwned. It learns neither the password nor its hash (k-anonymity).

use std::time::Duration;

use reqwest::redirect::Policy;
use tokio::time::timeout;

use super::PasswordSha1;
use crate::tools::certificates::Trust;

/// Number of hexadecimal digits that leave this service; about a thousand hashes of breached passwords share them.
const PREFIX_LENGTH: usize = 5;

/// Timeout of a request, response included.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Maximum length of a response in bytes; padded ones of the public service have less than a tenth of it.
const MAX_RESPONSE: usize = 1 << 20;

/// A client of the service.
#[derive(Clone, Debug)]
pub struct RangeApi {
    http: reqwest::Client,
    url: String,
}

impl RangeApi {
    /// A client of the service at this URL, to which the first characters of a hash are appended as a segment.
    ///
    /// # Errors
    /// A description of an HTTP client that cannot be created.
    pub fn new(url: &str, trust: &Trust) -> Result<Self, String> {
        // The HTTP client requires a default TLS provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let trusted: reqwest::Result<Vec<_>> =
            trust.all().iter().map(|certificate| reqwest::Certificate::from_der(certificate)).collect();
        let http = reqwest::Client::builder().tls_certs_only(trusted.map_err(describe)?);
        // A redirect would lead to a service that nobody chose.
        let http = http.redirect(Policy::none()).user_agent(concat!("vestibule/", env!("CARGO_PKG_VERSION")));
        Ok(Self { http: http.build().map_err(describe)?, url: url.trim_end_matches('/').to_owned() })
    }

    /// True if the service knows this hash.
    ///
    /// # Errors
    /// A description of the failure, without any part of the hash.
    pub async fn contains(&self, hash: PasswordSha1) -> Result<bool, String> {
        let hex = hash.to_hex();
        let (prefix, suffix) = hex.split_at(PREFIX_LENGTH);
        let response = timeout(TIMEOUT, self.range(prefix)).await;
        let response = response.map_err(|_| format!("no response within {} s", TIMEOUT.as_secs()))??;
        contains(&response, suffix)
    }

    /// Requests a range that reveals nothing.
    ///
    /// # Errors
    /// As for [`Self::contains`].
    pub async fn probe(&self) -> Result<(), String> {
        self.contains(PasswordSha1([0; 20])).await.map(drop)
    }

    async fn range(&self, prefix: &str) -> Result<Vec<u8>, String> {
        // Padding hides from observers of the connection how many hashes the response has.
        let request = self.http.get(format!("{}/{prefix}", self.url)).header("Add-Padding", "true");
        let mut response = request.send().await.map_err(describe)?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(format!("the response has status {}", response.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(describe)? {
            if body.len() + part.len() > MAX_RESPONSE {
                return Err(format!("the response has more than {MAX_RESPONSE} bytes"));
            }
            body.extend_from_slice(&part);
        }
        Ok(body)
    }
}

/// True if the response has a line with this rest of a hash and a count above zero. Lines with the count zero are
/// padding.
///
/// # Errors
/// The response has other lines.
pub(crate) fn contains(response: &[u8], suffix: &str) -> Result<bool, String> {
    let mut is_found = false;
    for line in response.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
        let row = str::from_utf8(line).ok().and_then(|line| line.split_once(':'));
        let is_row = |(rest, count): &(&str, &str)| {
            let is_rest = rest.len() == suffix.len() && rest.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_rest && !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit())
        };
        let (rest, count) = row.filter(is_row).ok_or("the response is not a list of hashes")?;
        is_found |= rest.eq_ignore_ascii_case(suffix) && count.bytes().any(|digit| digit != b'0');
    }
    Ok(is_found)
}

/// Description of a failed request, with its causes and without its URL.
fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUFFIX: &str = "1E4C9B93F3F0682250B6CF8331B7EE68FD8";
    const OTHER: &str = "00000000000000000000000000000000000";

    #[test]
    fn a_hash_is_found_in_either_case_unless_it_is_padding() {
        let lower = SUFFIX.to_lowercase();
        for (response, is_found) in [
            (format!("{OTHER}:3\r\n{SUFFIX}:52\r\n"), true),
            (format!("{lower}:1\n{OTHER}:3"), true),
            (format!("{SUFFIX}:10\n"), true),
            (format!("{SUFFIX}:99999999999999999999999999\n"), true),
            (format!("{SUFFIX}:0\n{OTHER}:3\n"), false),
            (format!("{SUFFIX}:000\n"), false),
            (format!("{OTHER}:3\n"), false),
            (String::new(), false),
        ] {
            assert_eq!(contains(response.as_bytes(), SUFFIX), Ok(is_found), "{response}");
        }
    }

    #[test]
    fn anything_else_is_no_answer() {
        for response in [
            "<html>sign in to the network</html>".to_owned(),
            format!("{SUFFIX}:52\nnonsense\n"),
            format!("5BAA6{SUFFIX}:52\n"),
            format!("{SUFFIX}\n"),
            format!("{SUFFIX}:\n"),
            format!("{SUFFIX}:-1\n"),
            format!("{}G:1\n", &SUFFIX[..34]),
        ] {
            assert!(contains(response.as_bytes(), SUFFIX).is_err(), "{response}");
        }
        assert!(contains(b"\xff\xfe", SUFFIX).is_err());
    }
}
