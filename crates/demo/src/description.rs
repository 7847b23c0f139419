//! `demo.json`: every address, sign-in and key that a person or a script needs.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use schema::{CampaignId, GoalId, LinkId, NetworkId};
use serde::{Deserialize, Serialize};

use crate::DemoError;

/// Where the demo's three servers listen, without a slash at the end.
#[derive(Debug, Clone)]
pub struct DemoAddresses {
    /// The dashboard.
    pub dashboard: String,
    /// Clicks and postbacks.
    pub tracking: String,
    /// The demo shop.
    pub shop: String,
}

/// What `demo.json` holds. Names are stable; more may come.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Description {
    /// Where the dashboard is.
    pub dashboard: String,
    /// Where clicks and postbacks go.
    pub tracking: String,
    /// Where the demo shop is.
    pub shop: String,
    /// Who can sign in: an owner, an affiliate, an advertiser, its developer, a manager, and the operator.
    pub sign_in: Vec<SignIn>,
    /// The network.
    pub network: Named<NetworkId>,
    /// The demo shop's campaign.
    pub campaign: Named<CampaignId>,
    /// That campaign's goal.
    pub goal: GoalDescription,
    /// The affiliate's link to the shop.
    pub link: LinkDescription,
    /// How the shop's server calls.
    pub postback: PostbackDescription,
    /// The demo's own Postgres.
    pub database_url: String,
    /// A campaign whose goals come one after the other.
    #[serde(default)]
    pub goal_chain: Option<Named<CampaignId>>,
    /// A campaign that is being tested.
    #[serde(default)]
    pub testing: Option<Named<CampaignId>>,
}

/// A way to sign in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignIn {
    /// `owner`, `affiliate`, `advertiser`, `advertiser_developer`, `manager` or `operator`.
    pub role: String,
    /// E-mail address.
    pub email: String,
    /// Password; made for this demo alone.
    pub password: String,
}

/// An id with its name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Named<T> {
    /// The id.
    pub id: T,
    /// The name.
    pub name: String,
}

/// A goal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GoalDescription {
    /// The id.
    pub id: GoalId,
    /// What a postback names it by.
    pub code: String,
}

/// A tracking link.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LinkDescription {
    /// The id.
    pub id: LinkId,
    /// Its path.
    pub alias: String,
    /// Its whole address.
    pub url: String,
}

/// How an advertiser's server calls.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PostbackDescription {
    /// Where to call.
    pub url: String,
    /// The advertiser's token.
    pub token: String,
}

impl Description {
    pub(crate) fn read(path: &Path) -> Result<Self, DemoError> {
        let text = fs::read_to_string(path).map_err(|error| file_error(path, error))?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Writes it whole or not at all, readable by us only: it holds passwords.
    pub(crate) fn write(&self, path: &Path) -> Result<(), DemoError> {
        let unfinished = path.with_extension("json.unfinished");
        let text = serde_json::to_string_pretty(self)?;
        let written = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&unfinished, path));
        written.map_err(|error| file_error(path, error))
    }

    /// The same demo at other addresses.
    pub(crate) fn move_to(&mut self, addresses: &DemoAddresses, database_url: &str) {
        self.dashboard.clone_from(&addresses.dashboard);
        self.tracking.clone_from(&addresses.tracking);
        self.shop.clone_from(&addresses.shop);
        self.link.url = format!("{}/{}", self.tracking, self.link.alias);
        self.postback.url = format!("{}/postback", self.tracking);
        database_url.clone_into(&mut self.database_url);
    }

    /// The tracking host's name as browsers send it; by its other name too, where it is this machine.
    pub(crate) fn tracking_hosts(&self) -> Vec<String> {
        let host = self
            .tracking
            .split_once("://")
            .map_or(self.tracking.as_str(), |(_, host)| host);
        let by_name = host
            .strip_prefix("127.0.0.1")
            .map(|port| format!("localhost{port}"));
        std::iter::once(host.to_owned()).chain(by_name).collect()
    }

    /// Where the shop's campaign sends visitors.
    pub(crate) fn destination(&self) -> String {
        destination(&self.shop)
    }

    pub(crate) fn greeting(&self, path: &Path) -> String {
        let sign_ins: String = self
            .sign_in
            .iter()
            .map(|it| format!("\n    {:<21} {:<36} {}", it.role, it.email, it.password))
            .collect();
        format!(
            "\nClickledger demo is up.\n\n\
             \x20 1. Follow a tracking link   {link}?sub1=newsletter\n\
             \x20 2. Buy something            in the shop it leads to ({shop})\n\
             \x20 3. See it counted           {dashboard}\n\n\
             \x20 Sign in as{sign_ins}\n\n\
             \x20 Postbacks of the shop go to {postback} with the token {token}\n\n\
             \x20 All of this is in {path}. Stop with Ctrl-C; start again and the data is still there.\n",
            link = self.link.url,
            shop = self.shop,
            dashboard = self.dashboard,
            postback = self.postback.url,
            token = self.postback.token,
            path = path.display(),
        )
    }
}

/// Where the shop's campaign sends visitors.
pub(crate) fn destination(shop: &str) -> String {
    format!("{shop}/?click_id={{click_id}}&utm_source={{affiliate_id}}&utm_content={{sub1}}")
}

fn file_error(path: &Path, error: std::io::Error) -> DemoError {
    DemoError::File {
        path: path.to_owned(),
        error,
    }
}
