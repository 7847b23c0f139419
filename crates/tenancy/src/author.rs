//! Authors of changes, as the audit log names them.

use ipnet::IpNet;
use schema::{PersonId, text_enum};

use crate::permissions::Scope;

text_enum! {
    /// Means by which a change was made.
    pub enum Via {
        /// A page of the dashboard.
        Page = "page",
        /// A program that uses the API.
        Api = "api",
        /// The command line, on the server's machine.
        CommandLine = "command_line",
        /// Clickledger, following a rule that a user has set.
        System = "system",
    }
}

/// Author of a change, as the audit log names them.
#[derive(Debug, Clone)]
pub struct Author {
    /// Person behind the change; None for the command line and the system.
    pub person_id: Option<PersonId>,
    /// Display name at the time of the change.
    pub name: String,
    /// Means by which the change was made.
    pub via: Via,
    /// Remote IP address; None if the change came from no connection.
    pub address: Option<IpNet>,
    /// Rows that the author may see: a conversion outside is unknown to its corrections.
    pub scope: Scope,
}

impl Author {
    /// Author of changes made on the command line of the server's machine.
    #[must_use]
    pub fn command_line() -> Self {
        Self {
            person_id: None,
            name: "Command line".to_owned(),
            via: Via::CommandLine,
            address: None,
            scope: Scope::default(),
        }
    }

    /// Author of changes that Clickledger makes by rule.
    #[must_use]
    pub fn system() -> Self {
        Self {
            person_id: None,
            name: "Clickledger".to_owned(),
            via: Via::System,
            address: None,
            scope: Scope::default(),
        }
    }
}
