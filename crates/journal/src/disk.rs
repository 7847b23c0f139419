//! Disk operations within one folder: on the real disk here, on a fault-injecting one in the simulation.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// A folder of plain files.
pub(crate) trait Disk: Send + Sync + 'static {
    type File: DiskFile;

    /// Lists names and lengths of the files in the folder.
    fn list(&self) -> io::Result<Vec<(String, u64)>>;
    fn open(&self, name: &str) -> io::Result<Self::File>;
    /// Creates an empty file; an existing one is replaced.
    fn create(&self, name: &str) -> io::Result<Self::File>;
    /// Renames a file atomically; an existing file named `to` is replaced.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes all creations, renames and removals so far survive a power cut.
    fn sync_folder(&self) -> io::Result<()>;
    /// Free bytes of the file system.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// A file of a [`Disk`].
pub(crate) trait DiskFile: Send + Sync {
    fn len(&self) -> io::Result<u64>;
    /// Reads like `pread`: maybe fewer bytes than requested, none at the end.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes like `pwrite`: maybe fewer bytes than given.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Syncs like `fdatasync`. After an error the file must not be trusted again.
    fn sync(&self) -> io::Result<()>;
    fn truncate(&self, len: u64) -> io::Result<()>;

    /// Writes all of `bytes` or fails: a short write counts as a full disk.
    fn write_whole(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let written = self.write_at(bytes, offset)?;
        if written == bytes.len() || crate::bugs::on(crate::bugs::Bug::IgnoreShortWrite) {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::StorageFull,
            "the disk wrote a part only",
        ))
    }

    /// Reads as many bytes from `offset` as the file has.
    fn read_full(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.read_at(rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

/// A folder of the operating system.
pub(crate) struct RealDisk {
    folder: PathBuf,
}

impl RealDisk {
    pub(crate) fn new(folder: PathBuf) -> Self {
        RealDisk { folder }
    }
}

impl Disk for RealDisk {
    type File = File;

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            match entry.metadata() {
                Ok(metadata) if metadata.is_file() => files.push((name, metadata.len())),
                Ok(_) => {}
                // Renamed between the two calls.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(files)
    }

    fn open(&self, name: &str) -> io::Result<File> {
        let path = self.folder.join(name);
        match OpenOptions::new().read(true).write(true).open(&path) {
            // A copy for replay may be read-only.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
                ) =>
            {
                File::open(path)
            }
            opened => opened,
        }
    }

    fn create(&self, name: &str) -> io::Result<File> {
        let path = self.folder.join(name);
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.folder.join(from), self.folder.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.folder.join(name))
    }

    fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let statistics = nix::sys::statvfs::statvfs(&self.folder)?;
        Ok(statistics.blocks_available() * statistics.fragment_size())
    }
}

impl DiskFile for File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        if crate::bugs::on(crate::bugs::Bug::NoSync) {
            return Ok(());
        }
        self.sync_data()
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }
}
