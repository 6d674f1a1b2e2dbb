//! The client of a request.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, header};
use ipnet::IpNet;

use crate::domain::auth::identity::Client;
use crate::http::header::elements;

/// Longest stored `User-Agent`, in bytes.
const MAX_USER_AGENT: usize = 256;

/// The client: the connection's peer or, if that is a trusted proxy, the last address in `X-Forwarded-For` that is not
/// one. Addresses further left may be forged.
pub(super) fn of(peer: SocketAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Client {
    let user_agent = headers.get(header::USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let user_agent = user_agent.map(|text| {
        let end = text.floor_char_boundary(MAX_USER_AGENT);
        text[..end].chars().filter(|c| !c.is_control()).collect()
    });
    Client { ip: Some(address(peer.ip(), headers, trusted).to_string()), user_agent, device: None }
}

/// The client's address alone.
pub(super) fn address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |ip: &IpAddr| trusted.iter().any(|network| network.contains(ip));
    let mut nearest = peer.to_canonical();
    for hop in elements(headers, "x-forwarded-for", b',').rev() {
        if !is_trusted(&nearest) {
            break;
        }
        let Some(ip) = parse_hop(hop) else { break };
        nearest = ip.to_canonical();
    }
    nearest
}

/// Parses an address as proxies write it: plain, with a port, or in brackets.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let bare = hop.trim_start_matches('[').trim_end_matches(']');
    bare.parse().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        of(SocketAddr::new(peer.parse().unwrap(), 1), &headers, &trusted).ip.unwrap()
    }

    #[test]
    fn without_trusted_proxies_the_header_is_ignored() {
        assert_eq!(seen("203.0.113.9", &["1.2.3.4"], &[]), "203.0.113.9");
        assert_eq!(seen("203.0.113.9", &["1.2.3.4"], &["10.0.0.0/8"]), "203.0.113.9");
    }

    #[test]
    fn behind_trusted_proxies_the_last_other_address_counts() {
        let trusted = ["10.0.0.0/8", "::1/128"];
        assert_eq!(seen("10.0.0.1", &["6.6.6.6, 198.51.100.7, 10.0.0.2"], &trusted), "198.51.100.7");
        assert_eq!(seen("10.0.0.1", &["6.6.6.6", "198.51.100.7:4711"], &trusted), "198.51.100.7");
        assert_eq!(seen("::1", &["[2001:db8::5]"], &trusted), "2001:db8::5");
        assert_eq!(seen("10.0.0.1", &["nonsense"], &trusted), "10.0.0.1");
        assert_eq!(seen("::ffff:10.0.0.1", &["198.51.100.7"], &trusted), "198.51.100.7");
    }
}
