//! Country and autonomous system of an address, from MMDB files.

mod country;
mod data_centers;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use std::{fs, io};

use arc_swap::ArcSwap;
use maxminddb::{MaxMindDbError, PathElement, Reader};

pub use self::country::{Country, NotACountry};
use self::data_centers::DataCenters;

const COUNTRY: [PathElement<'static>; 2] = [PathElement::Key("country"), PathElement::Key("iso_code")];
const ASN: [PathElement<'static>; 1] = [PathElement::Key("autonomous_system_number")];

/// Location of an address, as far as the files contain it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Country; `None` if unknown.
    pub country: Option<Country>,
    /// Number of the autonomous system (RFC 6793) that announces the address; `None` if unknown.
    pub asn: Option<u32>,
    /// True if the autonomous system belongs to a hosting company, whose addresses few people use.
    pub data_center: bool,
}

/// Look-up of places. Holds its files in memory.
pub struct Places {
    files: Vec<PathBuf>,
    loaded: ArcSwap<Vec<Database>>,
    data_centers: DataCenters,
    /// Locked during a reload.
    reloading: Mutex<()>,
}

struct Database {
    reader: Reader<Vec<u8>>,
    edition: Edition,
}

/// Identity of a file's contents.
#[derive(PartialEq, Eq)]
struct Edition {
    modified: SystemTime,
    bytes: u64,
}

/// Reason files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlacesError {
    /// The file cannot be read.
    #[error("{}: {cause}", file.display())]
    Unreadable {
        /// Path of the file.
        file: PathBuf,
        /// Error of the operating system.
        #[source]
        cause: io::Error,
    },
    /// The file is no MMDB file, or damaged.
    #[error("{} is not a valid MMDB file: {cause}", file.display())]
    Broken {
        /// Path of the file.
        file: PathBuf,
        /// Error of the parser.
        #[source]
        cause: MaxMindDbError,
    },
    /// The file contains neither countries nor autonomous systems.
    #[error(
        "{} is a database of kind {kind:?} with neither country.iso_code nor autonomous_system_number in it",
        file.display()
    )]
    Useless {
        /// Path of the file.
        file: PathBuf,
        /// Type of the database according to the file.
        kind: String,
    },
}

impl Places {
    /// Returns an instance without files.
    #[must_use]
    pub fn none() -> Self {
        Self::of(Vec::new(), Vec::new())
    }

    /// Reads country and AS databases in the layout that MaxMind and DB-IP share, in any order. The first file with a
    /// value wins.
    ///
    /// # Errors
    /// [`PlacesError`] of the first file that cannot be used.
    pub fn open(files: &[PathBuf]) -> Result<Self, PlacesError> {
        Ok(Self::of(files.to_vec(), load(files)?))
    }

    fn of(files: Vec<PathBuf>, databases: Vec<Database>) -> Self {
        Self {
            files,
            loaded: ArcSwap::from_pointee(databases),
            data_centers: DataCenters::new(),
            reloading: Mutex::new(()),
        }
    }

    /// Looks up an address. IPv4 inside IPv6 (`::ffff:192.0.2.1`) counts as IPv4. Private addresses have no place.
    pub fn find(&self, ip: IpAddr) -> Place {
        let ip = ip.to_canonical();
        let mut place = Place::default();
        for database in self.loaded.load().iter() {
            // A record that does not decode is skipped. Files with such records are refused when opened.
            let Ok(found) = database.reader.lookup(ip) else {
                continue;
            };
            if place.country.is_none() {
                let code: Option<&str> = found.decode_path(&COUNTRY).ok().flatten();
                place.country = code.and_then(|code| code.parse().ok());
            }
            if place.asn.is_none() {
                place.asn = found.decode_path(&ASN).ok().flatten();
            }
        }
        place.data_center = place.asn.is_some_and(|asn| self.data_centers.contains(asn));
        place
    }

    /// Reads the files again if the time or size of one has changed; returns true if so. As slow as opening: call it
    /// periodically from a thread that may block. Until it succeeds, the old files are used.
    ///
    /// # Errors
    /// [`PlacesError`] of a file that cannot be used, at every call until the file is valid.
    pub fn reload_if_changed(&self) -> Result<bool, PlacesError> {
        let _guard = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = false;
        for (file, database) in self.files.iter().zip(self.loaded.load().iter()) {
            changed |= edition(file)? != database.edition;
        }
        if changed {
            self.loaded.store(Arc::new(load(&self.files)?));
        }
        Ok(changed)
    }
}

fn load(files: &[PathBuf]) -> Result<Vec<Database>, PlacesError> {
    files.iter().map(|file| open(file)).collect()
}

fn open(file: &Path) -> Result<Database, PlacesError> {
    let broken = |cause| PlacesError::Broken {
        file: file.to_owned(),
        cause,
    };
    // Before the bytes, so that a change in between is detected later.
    let edition = edition(file)?;
    let bytes = fs::read(file).map_err(|cause| PlacesError::Unreadable {
        file: file.to_owned(),
        cause,
    })?;
    let reader = Reader::from_source(bytes).map_err(broken)?;
    reader.verify().map_err(broken)?;
    if !is_useful(&reader).map_err(broken)? {
        let kind = reader.metadata().database_type.clone();
        return Err(PlacesError::Useless {
            file: file.to_owned(),
            kind,
        });
    }
    Ok(Database { reader, edition })
}

/// True if any record has a requested value; usually the first one does.
fn is_useful(reader: &Reader<Vec<u8>>) -> Result<bool, MaxMindDbError> {
    for record in reader.networks(maxminddb::WithinOptions::default())? {
        let record = record?;
        if record.decode_path::<&str>(&COUNTRY)?.is_some() || record.decode_path::<u32>(&ASN)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn edition(file: &Path) -> Result<Edition, PlacesError> {
    let unreadable = |cause| PlacesError::Unreadable {
        file: file.to_owned(),
        cause,
    };
    let about = fs::metadata(file).map_err(unreadable)?;
    Ok(Edition {
        modified: about.modified().map_err(unreadable)?,
        bytes: about.len(),
    })
}
