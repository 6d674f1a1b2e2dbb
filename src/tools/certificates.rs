//! Which authorities vouch for servers that the service connects to: those that the system trusts, and those of a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{CertificateError, RootCertStore};

/// Trusted authorities beside those that are built in.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Authorities of the operator's own.
    own: Arc<Vec<CertificateDer<'static>>>,
}

impl Trust {
    /// Reads the certificates in a file, in PEM; none where there is no file.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn read(file: Option<&PathBuf>) -> Result<Self, String> {
        let own = file.map(|file| read_file(file)).transpose()?.unwrap_or_default();
        Ok(Self { own: Arc::new(own) })
    }

    /// The certificates of the file alone.
    pub fn own(&self) -> &[CertificateDer<'static>] {
        &self.own
    }

    /// All certificates, those of the system included.
    pub fn all(&self) -> Vec<CertificateDer<'static>> {
        // One that cannot be used would make a library refuse all of them.
        let mut usable = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        let found = found.certs.into_iter().filter(|certificate| usable.add(certificate.clone()).is_ok());
        found.chain(self.own.iter().cloned()).collect()
    }

    /// The same in PEM.
    pub fn to_pem(&self) -> Vec<u8> {
        let in_pem = |certificate: CertificateDer<'_>| {
            format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(&certificate))
        };
        self.all().into_iter().map(in_pem).collect::<String>().into_bytes()
    }
}

/// The sentence for an encrypted connection that could not be made.
pub fn explain(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "certificate not trusted: unknown issuer. Set VESTIBULE_CA_FILE to the certificate of its authority"
                .to_owned()
        }
        rustls::Error::InvalidCertificate(error) => format!("certificate not trusted: {error}"),
        other => format!("no encrypted connection could be made: {other}"),
    }
}

fn read_file(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let named = |problem: &dyn std::fmt::Display| format!("{}: {problem}", file.display());
    let text = std::fs::read(file).map_err(|error| named(&error))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|_| named(&"it cannot be read as certificates in PEM"))?;
    let mut usable = RootCertStore::empty();
    if found.is_empty() || found.iter().any(|certificate| usable.add(certificate.clone()).is_err()) {
        return Err(named(&"it must hold certificates in PEM, between BEGIN CERTIFICATE and END CERTIFICATE"));
    }
    Ok(found)
}
