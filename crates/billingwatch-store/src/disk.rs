//! How much room the database's disk has left, before a full one is found out by failing writes.

use crate::store::Store;

/// The disk that a database's file lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    /// What may still be written.
    pub free_bytes: u64,
    /// All of it.
    pub size_bytes: u64,
}

impl Store {
    /// Room on the database's disk; `None` where that is not this machine's (PostgreSQL, a database
    /// in memory) or nobody can tell.
    #[must_use]
    pub fn disk_space(&self) -> Option<DiskSpace> {
        let file = self.file()?;
        let folder = file
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        space_in(folder.unwrap_or_else(|| std::path::Path::new(".")))
    }
}

#[cfg(unix)]
fn space_in(folder: &std::path::Path) -> Option<DiskSpace> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(DiskSpace {
        // What root alone may still use is not ours.
        free_bytes: disk.f_bavail.checked_mul(disk.f_frsize)?,
        size_bytes: disk.f_blocks.checked_mul(disk.f_frsize)?,
    })
}

#[cfg(not(unix))]
fn space_in(_: &std::path::Path) -> Option<DiskSpace> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use crate::{Store, StoreOptions};

    #[test]
    fn a_file_has_a_disk_and_memory_has_none() {
        let memory = Store::open(&StoreOptions::new("sqlite::memory:")).unwrap();
        assert_eq!(memory.disk_space(), None);
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/x.db", folder.path().display());
        let store = Store::open(&StoreOptions::new(&url)).unwrap();
        let space = store.disk_space().unwrap();
        assert!(space.size_bytes > 0 && space.free_bytes <= space.size_bytes);
    }
}
