//! `demo.json`: every URL, sign-in and token that a user or a script needs.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use schema::{CampaignId, GoalId, LinkId, NetworkId};
use serde::{Deserialize, Serialize};

use crate::DemoError;

/// URLs of the demo's three servers, without a slash at the end.
#[derive(Debug, Clone)]
pub struct DemoAddresses {
    /// URL of the dashboard.
    pub dashboard: String,
    /// URL of the tracking host.
    pub tracking: String,
    /// URL of the demo shop.
    pub shop: String,
}

/// Content of `demo.json`. Names are stable; more may be added.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Description {
    /// URL of the dashboard.
    pub dashboard: String,
    /// URL of the tracking host.
    pub tracking: String,
    /// URL of the demo shop.
    pub shop: String,
    /// Sign-ins of an owner, an affiliate, an advertiser, its developer, a manager, and the operator.
    pub sign_in: Vec<SignIn>,
    /// Network.
    pub network: Named<NetworkId>,
    /// Campaign of the demo shop.
    pub campaign: Named<CampaignId>,
    /// Goal of that campaign.
    pub goal: GoalDescription,
    /// Link of the affiliate to the shop.
    pub link: LinkDescription,
    /// Postback endpoint and token of the shop.
    pub postback: PostbackDescription,
    /// Address of the demo's Postgres.
    pub database_url: String,
    /// Campaign with a goal chain.
    #[serde(default)]
    pub goal_chain: Option<Named<CampaignId>>,
    /// Campaign in testing.
    #[serde(default)]
    pub testing: Option<Named<CampaignId>>,
}

/// Credentials of a person.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignIn {
    /// `owner`, `affiliate`, `advertiser`, `advertiser_developer`, `manager` or `operator`.
    pub role: String,
    /// E-mail address.
    pub email: String,
    /// Password, created for this demo.
    pub password: String,
}

/// Id with its name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Named<T> {
    /// Id.
    pub id: T,
    /// Name.
    pub name: String,
}

/// Goal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GoalDescription {
    /// Id.
    pub id: GoalId,
    /// Code by which a postback names the goal.
    pub code: String,
}

/// Tracking link.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LinkDescription {
    /// Id.
    pub id: LinkId,
    /// Alias, the path of the link.
    pub alias: String,
    /// Complete URL.
    pub url: String,
}

/// Postback endpoint and token of an advertiser.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PostbackDescription {
    /// URL of the postback endpoint.
    pub url: String,
    /// Token of the advertiser.
    pub token: String,
}

impl Description {
    pub(crate) fn read(path: &Path) -> Result<Self, DemoError> {
        let text = fs::read_to_string(path).map_err(|error| file_error(path, error))?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Writes the file completely or not at all, readable by the owner only: it contains passwords.
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

    /// Changes the URLs of the demo.
    pub(crate) fn move_to(&mut self, addresses: &DemoAddresses, database_url: &str) {
        self.dashboard.clone_from(&addresses.dashboard);
        self.tracking.clone_from(&addresses.tracking);
        self.shop.clone_from(&addresses.shop);
        self.link.url = format!("{}/{}", self.tracking, self.link.alias);
        self.postback.url = format!("{}/postback", self.tracking);
        database_url.clone_into(&mut self.database_url);
    }

    /// Returns the tracking host as browsers send it, and its other name if it is this machine.
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

    /// Returns the destination of the shop's campaign.
    pub(crate) fn destination(&self) -> String {
        destination(&self.shop)
    }

    pub(crate) fn greeting(&self, path: &Path) -> String {
        let sign_ins: String = self
            .sign_in
            .iter()
            .map(|person| {
                format!(
                    "\n    {:<21} {:<36} {}",
                    person.role, person.email, person.password
                )
            })
            .collect();
        format!(
            "\nClickledger demo is up.\n\n\
             \x20 1. Follow a tracking link   {link}?sub1=newsletter\n\
             \x20 2. Buy something            in the shop it leads to ({shop})\n\
             \x20 3. See the result           {dashboard}\n\n\
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

/// Returns the destination of a campaign of this shop.
pub(crate) fn destination(shop: &str) -> String {
    format!("{shop}/?click_id={{click_id}}&utm_source={{affiliate_id}}&utm_content={{sub1}}")
}

fn file_error(path: &Path, error: std::io::Error) -> DemoError {
    DemoError::File {
        path: path.to_owned(),
        error,
    }
}
