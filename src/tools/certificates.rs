//! Trusted authorities of servers that the service connects to: those of the system, and those of a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{CertificateError, RootCertStore};

/// Trusted authorities besides the built-in ones.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// The operator's own authorities.
    own: Arc<Vec<CertificateDer<'static>>>,
}

impl Trust {
    /// Reads a file of PEM certificates; none without a file.
    ///
    /// # Errors
    /// A message that names the file.
    pub fn read(file: Option<&PathBuf>) -> Result<Self, String> {
        let own = file.map(|file| read_file(file)).transpose()?.unwrap_or_default();
        Ok(Self { own: Arc::new(own) })
    }

    /// The certificates of the file only.
    pub fn own(&self) -> &[CertificateDer<'static>] {
        &self.own
    }

    /// All certificates, including those of the system.
    pub fn all(&self) -> Vec<CertificateDer<'static>> {
        // An unusable certificate would make a library refuse all of them.
        let mut usable = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        let found = found.certs.into_iter().filter(|certificate| usable.add(certificate.clone()).is_ok());
        found.chain(self.own.iter().cloned()).collect()
    }

    /// The same in PEM format.
    pub fn to_pem(&self) -> Vec<u8> {
        let in_pem = |certificate: CertificateDer<'_>| {
            format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(&certificate))
        };
        self.all().into_iter().map(in_pem).collect::<String>().into_bytes()
    }
}

/// Message for a failed encrypted connection.
pub fn explain(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "certificate not trusted: unknown issuer. Set VESTIBULE_CA_FILE to the certificate of its authority"
                .to_owned()
        }
        rustls::Error::InvalidCertificate(error) => format!("certificate not trusted: {error}"),
        other => format!("encrypted connection failed: {other}"),
    }
}

fn read_file(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let named = |problem: &dyn std::fmt::Display| format!("{}: {problem}", file.display());
    let text = std::fs::read(file).map_err(|error| named(&error))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|_| named(&"the file contains no valid PEM certificates"))?;
    let mut usable = RootCertStore::empty();
    if found.is_empty() || found.iter().any(|certificate| usable.add(certificate.clone()).is_err()) {
        return Err(named(&"the file must contain PEM certificates, between BEGIN CERTIFICATE and END CERTIFICATE"));
    }
    Ok(found)
}
