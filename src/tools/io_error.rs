//! Descriptions of operating system errors for operators.

use std::io::{Error, ErrorKind};

/// A short description without the error's own text, which may contain anything: the name of its kind, or else the
/// operating system's message.
pub fn describe(error: &Error) -> String {
    // Resolver failures and rare system errors have generic kinds.
    let kind = error.kind().to_string();
    if !matches!(kind.as_str(), "uncategorized error" | "other error") {
        return kind;
    }
    if let Some(number) = error.raw_os_error() {
        let text = Error::from_raw_os_error(number).to_string().to_lowercase();
        return text.split(" (os error").next().unwrap_or_default().to_owned();
    }
    if error.to_string().starts_with("failed to lookup address information") {
        return "the host name cannot be resolved".to_owned();
    }
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(inner) => describe(inner),
        None => ErrorKind::InvalidData.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::ToSocketAddrs as _;

    use super::*;

    #[test]
    fn every_error_has_its_own_description() {
        assert_eq!(describe(&ErrorKind::ConnectionRefused.into()), "connection refused");
        assert_eq!(describe(&Error::from_raw_os_error(24)), "too many open files");
        assert_eq!(describe(&Error::other(Error::from_raw_os_error(111))), "connection refused");
        assert_eq!(describe(&Error::other("geheim")), "invalid data");
        let unknown = ("no-such-host.invalid", 25).to_socket_addrs().unwrap_err();
        assert_eq!(describe(&unknown), "the host name cannot be resolved");
    }
}
