//! Believable network with thirty days of traffic, and the demo shop that plays the advertiser.
//!
//! The history goes through the same functions as live traffic: `Intake::record` journals every click, and
//! `Intake::receive` every postback, which is then decided and stored. Only the times lie in the past.

mod description;
mod dialect;
mod history;
mod network;
mod receivers;
mod scenarios;
pub mod shop;

use std::path::Path;

use campaigns::campaigns as campaign_table;
use campaigns::campaigns::CampaignSettings;
use schema::{Db, DbError, clock};
use tenancy::{Author, ChangeError, Secret, TooBusy, networks};
use tracking::Tracker;

pub use description::{DemoAddresses, Description};
use shop::ShopSettings;

/// Callback for the progress of the demo's creation: the step, how many items are done, and their total.
pub type Progress = fn(&str, usize, usize);

/// Reason why the demo cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// Failure of the database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Passwords that could not be hashed.
    #[error(transparent)]
    TooBusy(#[from] TooBusy),
    /// Refused part of the demo.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// Click that could not be journaled.
    #[error(transparent)]
    Refused(#[from] journal::Refused),
    /// Failure to read or write `demo.json`.
    #[error("{path}: {error}", path = .path.display())]
    File {
        /// Path of the file.
        path: std::path::PathBuf,
        /// Error of the system.
        error: std::io::Error,
    },
    /// Malformed `demo.json`.
    #[error("demo.json is not readable ({0}); start over with --reset")]
    Description(#[from] serde_json::Error),
}

impl From<diesel::result::Error> for DemoError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

/// Demo that is ready to be served.
pub struct Demo {
    description: Description,
}

/// Creates the demo, or opens an earlier one under its present addresses.
///
/// `path` is that of `demo.json`, which is written last: it exists only if everything else does.
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
        let (network, description) = network::create(db, addresses, database_url).await?;
        history::create(db, tracker, &network, progress).await?;
        description
    };
    description.write(path)?;
    Ok(Demo { description })
}

impl Demo {
    /// Returns the settings of the shop.
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

    /// Lets the demo deliver its events to the receivers of the shop, which must be started.
    ///
    /// # Errors
    /// [`DemoError`].
    pub async fn deliver(&self, db: &Db, secret: &Secret) -> Result<(), DemoError> {
        receivers::connect(db, secret, &self.description).await
    }

    /// Returns the text for a new user of the demo.
    #[must_use]
    pub fn greeting(&self, path: &Path) -> String {
        self.description.greeting(path)
    }
}

/// Points the network's tracking host and the shop's campaign to the present listeners.
async fn move_network(db: &Db, description: &Description) -> Result<(), DemoError> {
    let mut conn = db.network(description.network.id).await?;
    let now = clock::now();
    networks::set_tracking_hosts(&mut conn, &description.tracking_hosts(), now).await?;
    if let Some(campaign) = campaign_table::find(&mut conn, description.campaign.id).await? {
        let settings = CampaignSettings {
            destination: description.destination(),
            ..campaign.settings()
        };
        campaign_table::update(&mut conn, &Author::system(), campaign.id, &settings, now).await?;
    }
    Ok(conn.commit().await?)
}
