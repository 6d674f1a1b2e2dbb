//! Where files are kept that users send: a folder, or a store in somebody's cloud.

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

/// How long one request to a store in a cloud may take.
const TIMEOUT: &str = "5 seconds";

/// For how long such a request is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// When clients should come back where the store does not answer.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Where files are kept. Printed without its parameters, which may hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub enum MediaUrl {
    /// `file:PATH`: a folder, which is made where it is missing.
    Folder(PathBuf),
    /// `s3://BUCKET/PATH`, `gs://BUCKET/PATH` or `az://CONTAINER/PATH`, with settings as parameters
    /// (`?region=eu-central-1&endpoint=https://…`) or in the variables that the provider's own tools read (`AWS_…`,
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

/// The store. Its clones are the same store.
#[derive(Clone, Debug)]
pub struct MediaStore {
    store: Arc<dyn ObjectStore>,
    folder: Path,
}

impl MediaStore {
    /// Opens a store; one in a cloud is not asked whether it is there.
    ///
    /// # Errors
    /// A sentence for the operator, without secrets.
    pub fn open(url: &MediaUrl) -> Result<Self, String> {
        // The HTTP client would take the process's default, which there is none of otherwise; a second one is refused,
        // and is the same.
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
                folder: Path::from_url_path(url.path()).map_err(|_| "the path has odd parts".to_owned())?,
            }),
        }
    }

    /// Keeps a file of this name, reads it and lets it go; the text of an error says what the store said.
    ///
    /// # Errors
    /// What did not work, in a sentence for the operator.
    pub async fn probe(&self, name: &str) -> Result<(), String> {
        let path = self.path(name);
        let content = b"a file to try the store with; it can be deleted";
        let failed = |what: &'static str| move |error: object_store::Error| format!("{what}: {error}");
        self.store.put(&path, content.to_vec().into()).await.map_err(failed("a file cannot be written"))?;
        let found = async { self.store.get(&path).await?.bytes().await };
        let found = found.await.map_err(failed("what was written cannot be read"))?;
        self.store.delete(&path).await.map_err(failed("what was written cannot be deleted"))?;
        if found.as_ref() == content { Ok(()) } else { Err("what was read is not what was written".to_owned()) }
    }

    /// Keeps a file, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the store does not take it.
    pub async fn put(&self, name: &str, file: Vec<u8>) -> Result<()> {
        self.store.put(&self.path(name), file.into()).await.map_err(|error| unavailable(&error))?;
        Ok(())
    }

    /// The file of this name; none where there is none.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the store does not answer.
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

    /// Lets a file go; that there is none is no failure.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the store does not answer.
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

/// The provider's variables first, then the address and its parameters.
fn cloud(url: &Url) -> Result<Arc<dyn ObjectStore>, String> {
    /// The same for each provider, whose builders have no trait in common.
    macro_rules! build {
        ($builder:ty, $key:ident, $address:expr) => {{
            let mut builder = <$builder>::from_env()
                .with_url($address)
                .with_retry(RetryConfig { max_retries: 2, retry_timeout: RETRY, ..RetryConfig::default() })
                .with_config($key::Client(ClientConfigKey::Timeout), TIMEOUT);
            for (name, value) in url.query_pairs() {
                let key: $key = name.parse().map_err(|_| format!("there is no parameter {name}"))?;
                builder = builder.with_config(key, value);
            }
            let store = builder.build().map_err(|_| "the store's settings are not complete or contradict each other");
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
    tracing::error!(%error, "the media store failed");
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
        assert_eq!(open("s3://bucket?colour=red"), Err("there is no parameter colour".to_owned()));
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
