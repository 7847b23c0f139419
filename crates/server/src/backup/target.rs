//! Place of backups: objects under names, in a folder or in a bucket. Each is stored whole or not at all, and is on disk when
//! its function returns.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload, RetryConfig, WriteMultipart};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::task::block_in_place;

use super::http::Connector;
use crate::config::{OptionError, Place, S3Options};

/// Bytes of a file that are hashed at once.
const HASHED_BYTES: usize = 128 * 1024;
/// Bytes of a part of a large object; S3 takes no smaller ones, and at most ten thousand.
const PART_BYTES: usize = 8 * 1024 * 1024;
const MAX_PARTS: u64 = 9_000;
/// Parts that are sent at a time.
const PARTS_IN_FLIGHT: usize = 3;
/// Longest time for all attempts of a request.
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);

/// Reason why the place of the backups cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    /// The storage failed.
    #[error("{place}: {source}")]
    Storage {
        /// Place of the backups.
        place: String,
        /// Error of the storage.
        source: object_store::Error,
    },
    /// A file of this machine failed.
    #[error("{path}: {source}")]
    File {
        /// Path of the file.
        path: String,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The folder of the backups does not exist, and may belong to a disk that is not mounted.
    #[error(
        "{0} is not a folder. Create it first: a missing folder may belong to a disk that is not mounted"
    )]
    NoFolder(String),
    /// Options that cannot be used.
    #[error(transparent)]
    Options(#[from] OptionError),
    /// An object differs from its checksum.
    #[error("{place}: {name} is damaged: {problem}")]
    Damaged {
        /// Place of the backups.
        place: String,
        /// Name of the object.
        name: String,
        /// Difference.
        problem: String,
    },
}

/// Object with its checksum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stored {
    /// Name.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// Hexadecimal SHA-256.
    pub sha256: String,
}

/// Place of backups.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    store: Arc<dyn ObjectStore>,
    place: String,
}

impl Target {
    /// Opens a place.
    pub(crate) fn open(place: &Place, s3: &S3Options) -> Result<Self, TargetError> {
        let name = place.to_string();
        let failed = |source| TargetError::Storage {
            place: name.clone(),
            source,
        };
        let store: Arc<dyn ObjectStore> = match place {
            Place::Folder(path) => {
                if !path.is_dir() {
                    return Err(TargetError::NoFolder(name));
                }
                let folder = LocalFileSystem::new_with_prefix(path).map_err(failed)?;
                Arc::new(folder.with_fsync(true).with_automatic_cleanup(true))
            }
            Place::Bucket { bucket, prefix } => {
                let retry = RetryConfig {
                    retry_timeout: RETRY_TIMEOUT,
                    ..RetryConfig::default()
                };
                let mut builder = AmazonS3Builder::new()
                    .with_bucket_name(bucket)
                    .with_region(&s3.s3_region)
                    .with_retry(retry)
                    // Not all compatible storages have it.
                    .with_disable_bulk_delete(true)
                    .with_http_connector(Connector);
                if let Some(endpoint) = &s3.s3_endpoint {
                    let is_plain = endpoint.starts_with("http://");
                    builder = builder.with_endpoint(endpoint).with_allow_http(is_plain);
                }
                if let Some(key) = &s3.s3_access_key_id {
                    builder = builder.with_access_key_id(key);
                }
                if let Some(secret) = s3.secret_access_key()? {
                    builder = builder.with_secret_access_key(secret);
                }
                let bucket = builder.build().map_err(failed)?;
                Arc::new(PrefixStore::new(bucket, prefix.as_str()))
            }
        };
        Ok(Self { store, place: name })
    }

    /// Place as the user wrote it.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    fn failed(&self, source: object_store::Error) -> TargetError {
        TargetError::Storage {
            place: self.place.clone(),
            source,
        }
    }

    fn damaged(&self, name: &str, problem: impl Into<String>) -> TargetError {
        TargetError::Damaged {
            place: self.place.clone(),
            name: name.to_owned(),
            problem: problem.into(),
        }
    }

    /// Stores bytes.
    pub(crate) async fn put(&self, name: &str, bytes: Vec<u8>) -> Result<Stored, TargetError> {
        let stored = Stored {
            name: name.to_owned(),
            size: bytes.len() as u64,
            sha256: hash(&bytes),
        };
        let payload = PutPayload::from(bytes);
        let put = self.store.put(&name.into(), payload).await;
        put.map_err(|error| self.failed(error))?;
        Ok(stored)
    }

    /// Stores a file of this machine.
    pub(crate) async fn put_file(&self, name: &str, path: &Path) -> Result<Stored, TargetError> {
        let mut file = block_in_place(|| File::open(path)).map_err(file_error(path))?;
        let size = file.metadata().map_err(file_error(path))?.len();
        let part = usize::try_from(size / MAX_PARTS).unwrap_or(0).max(PART_BYTES);
        let first = block_in_place(|| read_part(&mut file, part)).map_err(file_error(path))?;
        if first.len() < part {
            return self.put(name, first).await;
        }
        let upload = self.store.put_multipart(&name.into()).await;
        let upload = upload.map_err(|error| self.failed(error))?;
        let mut writer = WriteMultipart::new_with_chunk_size(upload, part);
        let (mut hasher, mut total, mut next) = (Sha256::new(), 0, first);
        while !next.is_empty() {
            hasher.update(&next);
            total += next.len() as u64;
            let ready = writer.wait_for_capacity(PARTS_IN_FLIGHT).await;
            ready.map_err(|error| self.failed(error))?;
            writer.put(next.into());
            next = block_in_place(|| read_part(&mut file, part)).map_err(file_error(path))?;
        }
        writer.finish().await.map_err(|error| self.failed(error))?;
        Ok(Stored {
            name: name.to_owned(),
            size: total,
            sha256: HEXLOWER.encode(&hasher.finalize()),
        })
    }

    /// Reads an object; `None` if it does not exist.
    pub(crate) async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, TargetError> {
        let read = async { self.store.get(&name.into()).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Reads an object of a listing.
    pub(crate) async fn read(&self, name: &str) -> Result<Vec<u8>, TargetError> {
        let found = self.get(name).await?;
        found.ok_or_else(|| self.damaged(name, "it is missing"))
    }

    /// Writes an object to a file, if it equals its checksum.
    pub(crate) async fn get_file(&self, stored: &Stored, path: &Path) -> Result<(), TargetError> {
        let name = stored.name.as_str();
        let found = match self.store.get(&name.into()).await {
            Err(object_store::Error::NotFound { .. }) => return Err(self.damaged(name, "it is missing")),
            found => found.map_err(|error| self.failed(error))?,
        };
        let mut file = File::create(path).map_err(file_error(path))?;
        let (mut hasher, mut size) = (Sha256::new(), 0);
        let mut chunks = found.into_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| self.failed(error))?;
            hasher.update(&chunk);
            size += chunk.len() as u64;
            block_in_place(|| file.write_all(&chunk)).map_err(file_error(path))?;
        }
        if size != stored.size {
            return Err(self.damaged(name, format!("it has {size} bytes instead of {}", stored.size)));
        }
        if HEXLOWER.encode(&hasher.finalize()) != stored.sha256 {
            return Err(self.damaged(name, "it differs from its checksum"));
        }
        Ok(())
    }

    /// Names and sizes of all objects below a prefix, in order.
    pub(crate) async fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>, TargetError> {
        let found = self.store.list(Some(&prefix.into()));
        let mut found: Vec<_> = found
            .map_ok(|object| (object.location.to_string(), object.size))
            .try_collect()
            .await
            .map_err(|error| self.failed(error))?;
        found.sort();
        Ok(found)
    }

    /// Removes an object, if it exists.
    pub(crate) async fn delete(&self, name: &str) -> Result<(), TargetError> {
        match self.store.delete(&name.into()).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Error of an object that has the wrong contents.
    pub(crate) fn is_damaged<T>(&self, name: &str, problem: impl Into<String>) -> Result<T, TargetError> {
        Err(self.damaged(name, problem))
    }
}

/// Hexadecimal SHA-256.
pub(crate) fn hash(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// SHA-256 of a file, which is not read whole.
pub(crate) fn hash_file(path: &Path) -> io::Result<String> {
    let (mut file, mut hasher) = (File::open(path)?, Sha256::new());
    let mut part = vec![0; HASHED_BYTES];
    loop {
        let read = file.read(&mut part)?;
        if read == 0 {
            return Ok(HEXLOWER.encode(&hasher.finalize()));
        }
        hasher.update(part.get(..read).unwrap_or_default());
    }
}

/// Adds the path to an error.
pub(crate) fn file_error(path: &Path) -> impl FnOnce(io::Error) -> TargetError {
    let path = path.display().to_string();
    move |source| TargetError::File { path, source }
}

fn read_part(file: &mut File, size: usize) -> io::Result<Vec<u8>> {
    let mut part = Vec::new();
    file.take(size as u64).read_to_end(&mut part)?;
    Ok(part)
}
