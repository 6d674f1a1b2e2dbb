//! The service as browsers know it, for passkeys.

use std::net::IpAddr;
use std::str::FromStr;

use url::{Host, Url};

use super::{BaseUrl, Config, Origin};
use crate::tools::webauthn::RelyingParty;

/// A domain to which passkeys belong, such as `example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasskeyDomain(String);

impl FromStr for PasskeyDomain {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("'{text}' is not a domain such as example.com");
        match Host::parse(text.trim()).map_err(|_| bad())? {
            Host::Domain(domain) if domain.parse::<IpAddr>().is_err() => Ok(Self(domain)),
            _ => Err(bad()),
        }
    }
}

impl Config {
    /// The service with this public URL, as browsers know it; `None` if the URL has no domain. On this machine it is
    /// known as `localhost`, because browsers have no passkeys for addresses.
    ///
    /// # Errors
    /// One line that names the setting.
    pub fn relying_party(&self, public_url: &BaseUrl) -> Result<Option<RelyingParty>, String> {
        let public_url = match public_url.is_on_loopback() {
            true => public_url.with_host("localhost").unwrap_or_else(|| public_url.clone()),
            false => public_url.clone(),
        };
        let domain = match &self.passkey_domain {
            Some(PasskeyDomain(domain)) => domain.clone(),
            None => match domain_of(&public_url.origin()) {
                Some(domain) => domain,
                None => return Ok(None),
            },
        };
        let belongs = |origin: &Origin| {
            let host = domain_of(origin);
            host.is_some_and(|host| host == domain || host.ends_with(&format!(".{domain}")))
        };
        if !belongs(&public_url.origin()) {
            return Err(format!(
                "VESTIBULE_PASSKEY_DOMAIN: {domain} is neither the domain of VESTIBULE_PUBLIC_URL nor a parent of it"
            ));
        }
        let front_ends = self.frontend_url.iter().map(BaseUrl::origin).chain(self.allowed_origins.iter().cloned());
        let mut origins: Vec<String> = Vec::new();
        for origin in std::iter::once(public_url.origin()).chain(front_ends).filter(belongs) {
            if !origins.iter().any(|known| known == origin.as_str()) {
                origins.push(origin.as_str().to_owned());
            }
        }
        Ok(Some(RelyingParty { id: domain, origins }))
    }
}

fn domain_of(origin: &Origin) -> Option<String> {
    let url = Url::parse(origin.as_str()).ok()?;
    match url.host()? {
        Host::Domain(domain) => Some(domain.to_owned()),
        Host::Ipv4(_) | Host::Ipv6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known_as(public: &str, domain: Option<&str>, front_ends: &[&str]) -> Result<Option<RelyingParty>, String> {
        let config = Config {
            passkey_domain: domain.map(|domain| domain.parse().unwrap()),
            allowed_origins: front_ends.iter().map(|origin| origin.parse().unwrap()).collect(),
            ..Config::defaults()
        };
        config.relying_party(&public.parse().unwrap())
    }

    #[test]
    fn passkeys_belong_to_the_domain_of_the_public_url_or_a_parent() {
        let service = |id: &str, origins: &[&str]| {
            Ok(Some(RelyingParty { id: id.into(), origins: origins.iter().map(|&origin| origin.into()).collect() }))
        };
        let (id, app) = ("https://id.example.com", "https://app.example.com");
        assert_eq!(known_as("https://id.example.com/base", None, &[app]), service("id.example.com", &[id]));
        let elsewhere = "https://example.org";
        assert_eq!(known_as(id, Some("Example.com"), &[app, elsewhere, id]), service("example.com", &[id, app]));
        assert!(
            known_as(id, Some("ample.com"), &[]).is_err() && known_as(id, Some("app.id.example.com"), &[]).is_err()
        );
        assert_eq!(known_as("https://192.0.2.1", None, &[]), Ok(None));
        for local in ["http://127.0.0.1:8000", "http://[::1]:8000", "http://localhost:8000"] {
            assert_eq!(known_as(local, None, &[]), service("localhost", &["http://localhost:8000"]), "{local}");
        }
        assert!(
            ["192.0.2.1", "a b", "", "https://example.com"].iter().all(|text| text.parse::<PasskeyDomain>().is_err())
        );
    }
}
