//! Redirects of a campaign's visitors.

use diesel::prelude::*;
use schema::{Words, campaigns};
use serde::{Deserialize, Serialize};
use tenancy::check_number;

use crate::passing;

/// Redirects of a campaign's visitors.
#[derive(Debug, Clone, PartialEq, Eq, HasQuery, AsChangeset, Insertable, Serialize, Deserialize)]
#[diesel(table_name = campaigns, treat_none_as_null = true)]
pub struct Sending {
    /// Query parameter that carries the click id; added to destinations without `{click_id}`.
    pub click_parameter: Option<String>,
    /// Parameters added to every destination, as `a=b&c={sub1}`.
    pub extra_parameters: String,
    /// Share of the clicks without a landing page in their link that go to the destination.
    pub destination_weight: i32,
    /// Parameters of the visitor's URL that are added to the destination, as `gclid` or `utm_*`.
    pub passed_parameters: Words,
    /// Hosts that deep links may lead to, subdomains included.
    pub deep_link_hosts: Words,
    /// URL for visitors who are not accepted; `None` sends them to the destination.
    pub fallback_url: Option<String>,
}

impl Default for Sending {
    fn default() -> Self {
        Self {
            click_parameter: None,
            extra_parameters: String::new(),
            destination_weight: 1,
            passed_parameters: passing::default_names(),
            deep_link_hosts: Words::default(),
            fallback_url: None,
        }
    }
}

/// Parses the weight of a destination; 1 for an empty text.
pub(crate) fn check_weight(text: &str) -> Result<i32, String> {
    check_number(text, Some(1), 0..=1000)
}
