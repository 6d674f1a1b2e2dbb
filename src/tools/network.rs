//! Client networks for rate limits.
//!
//! An IPv4 client counts by its address. An IPv6 client owns a whole subnet of 64 bits, and often a site of 48 bits
//! (RFC 6177), so it counts by both: the subnet like an IPv4 address, and the site with [`SITE_FACTOR`] times the
//! budget. Addresses that embed an IPv4 address count as that address; otherwise a client of a translator would have a
//! budget for each spelling.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Budget of an IPv6 site (/48), in budgets of a single subnet (/64).
pub const SITE_FACTOR: u32 = 8;

/// The networks of one client, smallest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Networks {
    /// IPv4 address, or IPv6 network of 64 bits.
    pub subnet: String,
    /// IPv6 network of 48 bits; `None` with IPv4.
    pub site: Option<String>,
}

impl Networks {
    /// The networks of the client with this address.
    pub fn of(ip: IpAddr) -> Self {
        let ip = match ip {
            IpAddr::V4(ip) => return Self { subnet: ip.to_string(), site: None },
            IpAddr::V6(ip) => ip,
        };
        if let Some(ip) = embedded(ip) {
            return Self { subnet: ip.to_string(), site: None };
        }
        let [a, b, c, d, ..] = ip.segments();
        Self { subnet: format!("{a:x}:{b:x}:{c:x}:{d:x}::/64"), site: Some(format!("{a:x}:{b:x}:{c:x}::/48")) }
    }

    /// The networks of a client with this address as text; all clients without a readable address share one network.
    pub fn of_text(ip: Option<&str>) -> Self {
        let ip = ip.and_then(|ip| ip.parse().ok());
        ip.map_or_else(|| Self { subnet: "unknown".to_owned(), site: None }, Self::of)
    }

    /// Each network with the factor of its budget.
    pub fn each(&self) -> impl Iterator<Item = (&str, u32)> {
        let site = self.site.as_deref().map(|site| (site, SITE_FACTOR));
        std::iter::once((self.subnet.as_str(), 1)).chain(site)
    }
}

/// The IPv4 address embedded in an IPv6 address: IPv4-mapped (RFC 4291, section 2.5.5.2), NAT64 (RFC 6052), 6to4 (RFC
/// 3056), whose /48 belongs to one IPv4 address, and Teredo (RFC 4380), whose /64 belongs to all clients of a server.
fn embedded(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let [_, b, c, .., g, h] = ip.segments();
    let address = |high: u16, low: u16| {
        let ([one, two], [three, four]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(one, two, three, four)
    };
    match ip.segments() {
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some(address(g, h)),
        [0x2002, ..] => Some(address(b, c)),
        // The client's address is stored inverted (section 4).
        [0x2001, 0, ..] => Some(address(!g, !h)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(ip: &str) -> (String, Option<String>) {
        let Networks { subnet, site } = Networks::of_text(Some(ip));
        (subnet, site)
    }

    #[test]
    fn ipv6_clients_count_by_subnet_and_site() {
        let site = Some("2001:db8:1::/48".to_owned());
        assert_eq!(networks("2001:db8:1:2::1"), ("2001:db8:1:2::/64".to_owned(), site.clone()));
        assert_eq!(networks("2001:db8:1:2:ffff::9"), ("2001:db8:1:2::/64".to_owned(), site.clone()));
        assert_eq!(networks("2001:db8:1:3::1"), ("2001:db8:1:3::/64".to_owned(), site));
        let each = Networks::of_text(Some("2001:db8:1:2::1"));
        let each: Vec<_> = each.each().collect();
        assert_eq!(each, [("2001:db8:1:2::/64", 1), ("2001:db8:1::/48", SITE_FACTOR)]);
    }

    #[test]
    fn addresses_that_stand_for_ipv4_count_as_ipv4() {
        let same = ["198.51.100.7", "::ffff:198.51.100.7", "64:ff9b::198.51.100.7", "2002:c633:6407:1::9"];
        // Teredo stores the address of the client inverted.
        let teredo = "2001:0:4136:e378:8000:63bf:39cc:9bf8";
        for ip in same.into_iter().chain([teredo]) {
            assert_eq!(networks(ip), ("198.51.100.7".to_owned(), None), "{ip}");
        }
        assert_eq!(networks("2001:1::1").1.as_deref(), Some("2001:1:0::/48"));
        assert_eq!(networks("64:ff9b:1::1").1.as_deref(), Some("64:ff9b:1::/48"));
    }

    #[test]
    fn clients_without_an_address_share_one_network() {
        assert_eq!(networks("nonsense"), ("unknown".to_owned(), None));
        assert_eq!(Networks::of_text(None), Networks::of_text(Some("")));
    }
}
