//! Address → country and autonomous system, by MMDB files.

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

/// Where an address is, as far as the files know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Country.
    pub country: Option<Country>,
    /// Number of the autonomous system (RFC 6793) that announces the address.
    pub asn: Option<u32>,
    /// Whether that is a hosting company, from where people seldom come.
    pub data_center: bool,
}

/// Finds places. Holds its files in memory, so they cost what they weigh.
pub struct Places {
    files: Vec<PathBuf>,
    loaded: ArcSwap<Vec<Database>>,
    data_centers: DataCenters,
    /// One reload at a time.
    reloading: Mutex<()>,
}

struct Database {
    reader: Reader<Vec<u8>>,
    edition: Edition,
}

/// By what a file tells that it has changed.
#[derive(PartialEq, Eq)]
struct Edition {
    modified: SystemTime,
    bytes: u64,
}

/// Why files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlacesError {
    /// The file cannot be read.
    #[error("{}: {cause}", file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The file is no MMDB, or a damaged one.
    #[error("{} is not a whole MMDB file: {cause}", file.display())]
    Broken {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        cause: MaxMindDbError,
    },
    /// The file tells neither countries nor autonomous systems.
    #[error(
        "{} is a database of kind {kind:?} with neither country.iso_code nor autonomous_system_number in it",
        file.display()
    )]
    Useless {
        /// Which file.
        file: PathBuf,
        /// What it says that it is.
        kind: String,
    },
}

impl Places {
    /// Knows no place.
    #[must_use]
    pub fn none() -> Self {
        Self::of(Vec::new(), Vec::new())
    }

    /// Reads country and AS databases in the layout that MaxMind and DB-IP share, in any order. What several files
    /// know, the first of them tells.
    ///
    /// # Errors
    /// The first file that cannot be used, and why.
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

    /// Where the address is. IPv4 inside IPv6 (`::ffff:192.0.2.1`) is IPv4. Private addresses are nowhere.
    pub fn find(&self, ip: IpAddr) -> Place {
        let ip = ip.to_canonical();
        let mut place = Place::default();
        for database in self.loaded.load().iter() {
            // A record that does not decode says nothing. Files with such records are refused when they are read.
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

    /// Reads the files again if one has another time or size than before; says whether it did. Takes as long as
    /// opening: call it now and then from a thread that may wait. Until it has succeeded, the old files answer.
    ///
    /// # Errors
    /// A file that cannot be used, and why; every call says so until the file is whole.
    pub fn reload_if_changed(&self) -> Result<bool, PlacesError> {
        let _alone = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
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
    // Before the bytes: a change in between is then seen as a change.
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

/// Whether any record has what is looked for; usually the first has.
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
