//! File system under a folder that can be taken away: a tmpfs of a fixed size, or an ext4 in a file whose power can be
//! cut.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::statvfs::statvfs;

use crate::Outcome;

/// File system mounted on a folder. Users of the folder must be stopped while it is mounted, cut or cleared.
pub(crate) struct Ground {
    folder: PathBuf,
    /// Original folder, moved move_aside.
    below: PathBuf,
    /// File of the ext4; none for a tmpfs.
    image: Option<PathBuf>,
    mounted: bool,
}

impl Ground {
    /// Mounts a tmpfs of this size on the folder and copies its content.
    pub(crate) fn tmpfs(folder: &Path, mib: u64) -> Outcome<Self> {
        let ground = Self::move_aside(folder, None)?;
        let size = format!("size={mib}m");
        let kind = [
            OsStr::new("-t"),
            "tmpfs".as_ref(),
            "-o".as_ref(),
            size.as_ref(),
            "none".as_ref(),
        ];
        run("mount", kind.into_iter().chain([folder.as_ref()]))?;
        ground.fill()
    }

    /// Mounts an ext4 of this size, in the file `image`, on the folder and copies its content.
    pub(crate) fn ext4(folder: &Path, mib: u64, image: PathBuf) -> Outcome<Self> {
        run(
            "truncate",
            [OsStr::new("-s"), format!("{mib}M").as_ref(), image.as_ref()],
        )?;
        run("mkfs.ext4", [OsStr::new("-q"), "-F".as_ref(), image.as_ref()])?;
        let ground = Self::move_aside(folder, Some(image.clone()))?;
        mount_image(&image, folder)?;
        // It is not a segment of the journal.
        fs::remove_dir(folder.join("lost+found"))?;
        ground.fill()
    }

    fn move_aside(folder: &Path, image: Option<PathBuf>) -> Outcome<Self> {
        let below = folder.with_extension("below");
        fs::rename(folder, &below)?;
        fs::create_dir(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            below,
            image,
            mounted: false,
        })
    }

    fn fill(mut self) -> Outcome<Self> {
        self.mounted = true;
        copy(&self.below, &self.folder)?;
        // The content is now on the new file system and must be as durable as before.
        run("sync", ["-f".as_ref(), self.folder.as_os_str()])?;
        Ok(self)
    }

    /// Changes the size of a tmpfs.
    pub(crate) fn resize(&self, mib: u64) -> Outcome {
        let options = format!("remount,size={mib}m");
        run(
            "mount",
            [OsStr::new("-o"), options.as_ref(), self.folder.as_ref()],
        )
    }

    /// Returns the MiB in use, rounded up.
    pub(crate) fn used_mib(&self) -> Outcome<u64> {
        let stat = statvfs(&self.folder)?;
        Ok(((stat.blocks() - stat.blocks_free()) * stat.fragment_size()).div_ceil(1 << 20))
    }

    /// Cuts the power: data that the ext4 had not written to its file is lost. The file is copied in its present state,
    /// without syncing, and the copy is mounted.
    pub(crate) fn cut_power(&mut self) -> Outcome {
        let Some(image) = &self.image else {
            return Err("only an ext4 has a power to cut".into());
        };
        let after = image.with_extension("cut");
        run(
            "cp",
            [OsStr::new("--sparse=always"), image.as_ref(), after.as_ref()],
        )?;
        run("umount", [&self.folder])?;
        fs::rename(&after, image)?;
        mount_image(image, &self.folder)
    }

    /// Copies the content back to the original file system and unmounts.
    pub(crate) fn clear(mut self) -> Outcome {
        let fresh = self.folder.with_extension("fresh");
        fs::create_dir(&fresh)?;
        copy(&self.folder, &fresh)?;
        run("umount", [&self.folder])?;
        self.mounted = false;
        fs::remove_dir(&self.folder)?;
        fs::rename(&fresh, &self.folder)?;
        fs::remove_dir_all(&self.below)?;
        if let Some(image) = &self.image {
            fs::remove_file(image)?;
        }
        Ok(())
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if self.mounted {
            // The run has failed and its folder stays for inspection; only the mount must go.
            if let Err(error) = run("umount", [OsStr::new("-l"), self.folder.as_ref()]) {
                eprintln!("conserve: {error}");
            }
        }
    }
}

/// Returns true if files can be mounted here, which needs a loop device.
pub(crate) fn can_mount_images() -> bool {
    let free = Command::new("losetup").arg("-f").output();
    free.is_ok_and(|output| output.status.success())
}

fn mount_image(image: &Path, folder: &Path) -> Outcome {
    run(
        "mount",
        [OsStr::new("-o"), "loop".as_ref(), image.as_ref(), folder.as_ref()],
    )
}

/// Copies the content of a folder with owners and modes, and those of the folder itself.
fn copy(from: &Path, to: &Path) -> Outcome {
    run("cp", [OsStr::new("-a"), from.join(".").as_ref(), to.as_ref()])
}

/// Runs a program to its end.
pub(crate) fn run<A: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = A>) -> Outcome {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()).into())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// Creates a folder with a file in it, if mounting is possible.
    fn folder(name: &str) -> Option<PathBuf> {
        if !nix::unistd::geteuid().is_root() || !can_mount_images() {
            eprintln!("skipped: mounting needs root and a loop device");
            return None;
        }
        let parent = std::env::temp_dir().join(format!("conserve-{name}-{}", std::process::id()));
        let folder = parent.join("folder");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("old"), "old").unwrap();
        Some(folder)
    }

    #[test]
    fn a_power_cut_leaves_synced_data_only() {
        let Some(folder) = folder("cut") else { return };
        let mut ground = Ground::ext4(&folder, 64, folder.with_extension("img")).unwrap();
        let mut synced = fs::File::create(folder.join("synced")).unwrap();
        synced.write_all(&[1; 100_000]).unwrap();
        synced.sync_all().unwrap();
        fs::File::open(&folder).unwrap().sync_all().unwrap();
        synced.write_all(&[2; 100_000]).unwrap();
        fs::write(folder.join("unsynced"), [3; 100_000]).unwrap();
        drop(synced);
        ground.cut_power().unwrap();
        let read = |name: &str| fs::read(folder.join(name)).unwrap_or_default();
        assert_eq!(read("old"), b"old");
        assert_eq!(read("synced"), vec![1; 100_000]);
        assert_eq!(read("unsynced"), b"");
        ground.clear().unwrap();
        assert_eq!(read("synced"), vec![1; 100_000]);
        fs::remove_dir_all(folder.parent().unwrap()).unwrap();
    }

    #[test]
    fn a_tmpfs_fills_up_and_has_free_space_again() {
        let Some(folder) = folder("full") else { return };
        let ground = Ground::tmpfs(&folder, 64).unwrap();
        ground.resize(ground.used_mib().unwrap() + 1).unwrap();
        let large = vec![1; 3 << 20];
        assert!(fs::write(folder.join("large"), &large).is_err());
        ground.resize(64).unwrap();
        fs::write(folder.join("large"), &large).unwrap();
        ground.clear().unwrap();
        assert_eq!(fs::read(folder.join("large")).unwrap(), large);
        assert_eq!(fs::read(folder.join("old")).unwrap(), b"old");
        fs::remove_dir_all(folder.parent().unwrap()).unwrap();
    }
}
