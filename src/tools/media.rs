//! The store of users' files: a folder, or an object store in a cloud.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ClientConfigKey, ObjectStore, ObjectStoreExt as _, RetryConfig};
use url::Url;

use crate::error::{Error, Result};
use crate::tools::secret_file;

/// Timeout of one request to a cloud store.
const TIMEOUT: &str = "5 seconds";

/// Time for which such a request is retried.
const RETRY: Duration = Duration::from_secs(5);

/// Time after which clients should retry when the store does not respond.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The URL of a media store. Printed without its parameters, which can contain secrets.
#[derive(Clone, PartialEq, Eq)]
pub enum MediaUrl {
    /// `file:PATH`: a folder, created if it is missing.
    Folder(PathBuf),
    /// `s3://BUCKET/PATH`, `gs://BUCKET/PATH` or `az://CONTAINER/PATH`, with settings as parameters
    /// (`?region=eu-central-1&endpoint=https://…`) or in the variables of the provider's tools (`AWS_…`,
    /// `GOOGLE_…`, `AZURE_…`).
    Cloud(Url),
}

impl FromStr for MediaUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        if let Some(path) = text.strip_prefix("file:") {
            if path.is_empty() || path.starts_with("//") && !path.starts_with("///") {
                return Err("`file:` must be followed by the path of a folder");
            }
            return Ok(Self::Folder(PathBuf::from(path)));
        }
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "s3" | "gs" | "az") && url.has_host());
        let url = url.filter(|url| url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
        url.map(Self::Cloud).ok_or("expected `file:PATH`, `s3://BUCKET`, `gs://BUCKET` or `az://CONTAINER`")
    }
}

impl fmt::Debug for MediaUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "file:{}", path.display()),
            Self::Cloud(url) => write!(f, "{}://{}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path()),
        }
    }
}

/// A media store. Clones share the store.
#[derive(Clone, Debug)]
pub struct MediaStore {
    store: Arc<dyn ObjectStore>,
    folder: Path,
}

impl MediaStore {
    /// Opens a store. A cloud store is not contacted.
    ///
    /// # Errors
    /// A message for the operator, without secrets.
    pub fn open(url: &MediaUrl) -> Result<Self, String> {
        // The HTTP client needs a default provider of the process. A second installation is refused, and would be the
        // same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        match url {
            MediaUrl::Folder(path) => {
                let failed = |error: &dyn fmt::Display| format!("{}: {error}", path.display());
                secret_file::make_folder(path).map_err(|error| failed(&error))?;
                let store = LocalFileSystem::new_with_prefix(path).map_err(|error| failed(&error))?;
                Ok(Self { store: Arc::new(store.with_fsync(true)), folder: Path::default() })
            }
            MediaUrl::Cloud(url) => Ok(Self {
                store: cloud(url)?,
                folder: Path::from_url_path(url.path()).map_err(|_| "the path is invalid".to_owned())?,
            }),
        }
    }

    /// Writes, reads and deletes a file of this name.
    ///
    /// # Errors
    /// The failed step with the error of the store, as a message for the operator.
    pub async fn probe(&self, name: &str) -> Result<(), String> {
        let path = self.path(name);
        let content = b"test file of Vestibule; it can be deleted";
        let failed = |what: &'static str| move |error: object_store::Error| format!("{what}: {error}");
        self.store.put(&path, content.to_vec().into()).await.map_err(failed("cannot write a test file"))?;
        let found = async { self.store.get(&path).await?.bytes().await };
        let found = found.await.map_err(failed("cannot read the test file"))?;
        self.store.delete(&path).await.map_err(failed("cannot delete the test file"))?;
        if found.as_ref() == content {
            Ok(())
        } else {
            Err("the test file read differs from the one written".to_owned())
        }
    }

    /// Stores a file atomically.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the store does not accept it.
    pub async fn put(&self, name: &str, file: Vec<u8>) -> Result<()> {
        self.store.put(&self.path(name), file.into()).await.map_err(|error| unavailable(&error))?;
        Ok(())
    }

    /// The file of this name; none if it is missing.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the store does not respond.
    pub async fn get(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let found = match self.store.get(&self.path(name)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(unavailable(&error)),
        };
        let file = found.into_stream().try_fold(Vec::new(), async |mut file, chunk| {
            file.extend_from_slice(&chunk);
            Ok(file)
        });
        Ok(Some(file.await.map_err(|error| unavailable(&error))?))
    }

    /// Deletes a file; does nothing if it is missing.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the store does not respond.
    pub async fn delete(&self, name: &str) -> Result<()> {
        match self.store.delete(&self.path(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(unavailable(&error)),
        }
    }

    fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.folder.clone(), Path::join)
    }
}

/// A cloud store, configured by the provider's variables, then by the URL and its parameters.
fn cloud(url: &Url) -> Result<Arc<dyn ObjectStore>, String> {
    /// The same for each provider: their builders have no common trait.
    macro_rules! build {
        ($builder:ty, $key:ident, $address:expr) => {{
            let mut builder = <$builder>::from_env()
                .with_url($address)
                .with_retry(RetryConfig { max_retries: 2, retry_timeout: RETRY, ..RetryConfig::default() })
                .with_config($key::Client(ClientConfigKey::Timeout), TIMEOUT);
            for (name, value) in url.query_pairs() {
                let key: $key = name.parse().map_err(|_| format!("unknown parameter {name}"))?;
                builder = builder.with_config(key, value);
            }
            let store = builder.build().map_err(|_| "the settings of the store are incomplete or contradictory");
            Arc::new(store?)
        }};
    }
    let mut bare = url.clone();
    bare.set_query(None);
    Ok(match url.scheme() {
        "s3" => build!(AmazonS3Builder, AmazonS3ConfigKey, bare.as_str()),
        "gs" => build!(GoogleCloudStorageBuilder, GoogleConfigKey, bare.as_str()),
        _ => build!(MicrosoftAzureBuilder, AzureConfigKey, bare.as_str()),
    })
}

fn unavailable(error: &object_store::Error) -> Error {
    tracing::error!(%error, "media store failed");
    Error::Unavailable(RETRY_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_printed_without_secrets() {
        assert_eq!("file:data/media".parse(), Ok(MediaUrl::Folder("data/media".into())));
        assert_eq!("file:///srv/media".parse(), Ok(MediaUrl::Folder("///srv/media".into())));
        for text in ["", "media", "file:", "file://media", "s3:bucket", "s3://u:p@bucket", "http://host/", "memory:///"]
        {
            assert!(text.parse::<MediaUrl>().is_err(), "{text}");
        }
        let url: MediaUrl = "s3://bucket/path?secret_access_key=geheim".parse().unwrap();
        assert_eq!(format!("{url:?}"), "s3://bucket/path");
    }

    #[test]
    fn stores_in_clouds_are_opened_by_their_parameters() {
        let open = |text: &str| MediaStore::open(&text.parse().unwrap()).map(|_| ());
        assert_eq!(open("s3://bucket/a?region=eu-central-1&access_key_id=a&secret_access_key=geheim"), Ok(()));
        assert_eq!(open("az://container?account_name=a&access_key=Z2VoZWlt"), Ok(()));
        assert_eq!(open("s3://bucket?colour=red"), Err("unknown parameter colour".to_owned()));
    }

    #[tokio::test]
    async fn a_folder_keeps_and_lets_go() {
        let root = tempfile::tempdir().unwrap();
        let store = MediaStore::open(&MediaUrl::Folder(root.path().join("a/b"))).unwrap();
        store.put("avatars/x.jpg", vec![1, 2]).await.unwrap();
        assert!(root.path().join("a/b/avatars/x.jpg").is_file());
        assert_eq!(store.get("avatars/x.jpg").await.unwrap(), Some(vec![1, 2]));
        store.delete("avatars/x.jpg").await.unwrap();
        store.delete("avatars/x.jpg").await.unwrap();
        assert_eq!(store.get("avatars/x.jpg").await.unwrap(), None);
        for name in ["../x", "..", "/etc/passwd", "avatars/../../x", "a\0b"] {
            assert_eq!(store.get(name).await.unwrap_or_default(), None, "{name:?}");
        }
    }
}
