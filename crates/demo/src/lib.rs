//! A believable network with thirty days of traffic, and the demo shop that plays the advertiser.
//!
//! The history goes through the same functions as live traffic: clicks are stored by `tracking::clicks`, every
//! postback is decided and stored by `Tracker::receive`. Only the clock is turned back.

mod cast;
mod description;
mod history;
pub mod shop;
mod spelling;
mod stories;

use std::path::Path;

use campaigns::campaigns as campaign_table;
use campaigns::campaigns::CampaignSettings;
use schema::{Db, DbError, clock};
use tenancy::{Author, ChangeError, TooBusy, networks};
use tracking::Tracker;

pub use description::{DemoAddresses, Description};
use shop::ShopSettings;

/// Told how far the making of the demo is: what is being made, how many are done, of how many.
pub type Progress = fn(&str, usize, usize);

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Passwords could not be hashed.
    #[error(transparent)]
    TooBusy(#[from] TooBusy),
    /// Something the demo is made of was refused.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The history could not be journaled.
    #[error(transparent)]
    Refused(#[from] journal::Refused),
    /// `demo.json` could not be read or written.
    #[error("{path}: {error}", path = .path.display())]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// `demo.json` is not what we wrote.
    #[error("demo.json is not readable ({0}); start over with --reset")]
    Description(#[from] serde_json::Error),
}

impl From<diesel::result::Error> for DemoError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

/// A demo that is ready to be shown.
pub struct Demo {
    description: Description,
}

/// Makes the demo, or opens the one that was made before under the addresses it has now.
///
/// `path` is where `demo.json` is; written last, so that it exists only when everything else does.
///
/// # Errors
/// [`DemoError`].
pub async fn open(
    db: &Db,
    tracker: &Tracker,
    addresses: &DemoAddresses,
    database_url: &str,
    path: &Path,
    progress: Progress,
) -> Result<Demo, DemoError> {
    let description = if path.exists() {
        let mut description = Description::read(path)?;
        description.move_to(addresses, database_url);
        move_network(db, &description).await?;
        description
    } else {
        let (cast, description) = cast::create(db, addresses, database_url).await?;
        history::play(db, tracker, &cast, progress).await?;
        description
    };
    description.write(path)?;
    Ok(Demo { description })
}

impl Demo {
    /// What the shop needs to know.
    #[must_use]
    pub fn shop(&self) -> ShopSettings {
        let description = &self.description;
        ShopSettings {
            postback_url: description.postback.url.clone(),
            token: description.postback.token.clone(),
            goal: description.goal.code.clone(),
            dashboard_url: description.dashboard.clone(),
        }
    }

    /// What a newcomer is told.
    #[must_use]
    pub fn greeting(&self, path: &Path) -> String {
        self.description.greeting(path)
    }
}

/// Points the network's tracking host and the shop's campaign to where they listen now.
async fn move_network(db: &Db, description: &Description) -> Result<(), DemoError> {
    let mut conn = db.network(description.network.id).await?;
    networks::set_tracking_hosts(&mut conn, &description.tracking_hosts()).await?;
    if let Some(campaign) = campaign_table::find(&mut conn, description.campaign.id).await? {
        let settings = CampaignSettings {
            destination: description.destination(),
            ..campaign.settings()
        };
        let now = clock::now();
        campaign_table::update(&mut conn, &Author::system(), campaign.id, &settings, now).await?;
    }
    Ok(conn.commit().await?)
}
