//! Settings of a campaign: as stored, and as a draft of text to check.

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use diesel::prelude::*;
use schema::{Words, campaigns, clock, text_enum};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tenancy::{Draft, check_name, check_number};

use crate::access::Access;
use crate::attribution_order;
use crate::audience::{self, Audience};
use crate::destination::{self, Destination, DestinationError};
use crate::external_id::check_external_id;
use crate::passing;
use crate::sending::{Sending, check_weight};

/// Maximum length of terms and notes, in characters.
const MAX_TEXT_LENGTH: usize = 20_000;

text_enum! {
    /// Lifecycle of a campaign.
    pub enum CampaignStatus {
        /// Being set up; its links are inactive.
        Draft = "draft",
        /// Test links only; nothing is paid.
        Testing = "testing",
        /// Clicks are redirected and conversions count.
        Live = "live",
        /// Visitors see a notice; earlier clicks still convert.
        Paused = "paused",
        /// Clicks and conversions are refused.
        Ended = "ended",
    }
}

impl CampaignStatus {
    /// True if conversions are paid: the campaign has left draft and testing, and has not ended.
    #[must_use]
    pub fn pays(self) -> bool {
        matches!(self, Self::Live | Self::Paused)
    }
}

/// First and last moment of a campaign.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, HasQuery, AsChangeset, Insertable, Serialize, Deserialize,
)]
#[diesel(table_name = campaigns, treat_none_as_null = true)]
pub struct Schedule {
    /// Start, included; `None` for no start.
    pub starts_at: Option<DateTime<Utc>>,
    /// End, not included; `None` for no end.
    pub ends_at: Option<DateTime<Utc>>,
}

/// Description of a campaign for affiliates.
#[derive(Debug, Clone, PartialEq, Eq, HasQuery, AsChangeset, Insertable, Serialize, Deserialize)]
#[diesel(table_name = campaigns)]
pub struct Offer {
    /// Affiliates that may promote the campaign.
    pub access: Access,
    /// Keywords for the affiliates' search.
    pub categories: Words,
    /// Terms that affiliates agree to.
    pub terms: String,
    /// Notes for affiliates.
    pub notes: String,
}

impl Default for Offer {
    fn default() -> Self {
        Self {
            access: Access::Open,
            categories: Words::default(),
            terms: String::new(),
            notes: String::new(),
        }
    }
}

/// Settings of a campaign, checked.
#[derive(Debug, Clone, PartialEq, Eq, AsChangeset, Insertable)]
#[diesel(table_name = campaigns, treat_none_as_null = true)]
pub struct CampaignSettings {
    /// Name shown to users; not empty.
    pub name: String,
    /// Lifecycle of the campaign.
    pub status: CampaignStatus,
    /// Identifier in the advertiser's system or in a former one; unique within the network.
    pub external_id: Option<String>,
    /// Destination of clicks, as accepted by [`crate::Destination::parse`].
    pub destination: String,
    /// Attribution window in days, 1 to 3650: maximum age of the click of a conversion.
    pub attribution_days: i32,
    /// Customer window in days, 1 to 3650: maximum age of the customer's latest conversion, for an order without a click.
    pub customer_days: i32,
    /// Minimum age of the click of a conversion, in seconds: 0 to a day.
    pub attribution_min_seconds: i32,
    /// Proofs that attribute a postback, the first that holds; one that is not listed never does.
    pub attribution_order: Words,
    /// Redirects of visitors.
    #[diesel(embed)]
    pub sending: Sending,
    /// First and last moment of the campaign.
    #[diesel(embed)]
    pub schedule: Schedule,
    /// Targeting.
    #[diesel(embed)]
    pub audience: Audience,
    /// Description for affiliates.
    #[diesel(embed)]
    pub offer: Offer,
}

impl CampaignSettings {
    /// A campaign that is live, counts conversions for 30 days, and has nothing else set.
    #[must_use]
    pub fn live(name: &str, destination: &str) -> Self {
        Self {
            name: name.to_owned(),
            status: CampaignStatus::Live,
            external_id: None,
            destination: destination.to_owned(),
            attribution_days: 30,
            customer_days: 365,
            attribution_min_seconds: 0,
            attribution_order: attribution_order::default_order(),
            sending: Sending::default(),
            schedule: Schedule::default(),
            audience: Audience::default(),
            offer: Offer::default(),
        }
    }

    /// Fields of a campaign's [`Draft`].
    pub const FIELDS: [&'static str; 22] = [
        "name",
        "status",
        "external_id",
        "destination",
        "destination_weight",
        "click_parameter",
        "extra_parameters",
        "passed_parameters",
        "deep_link_hosts",
        "fallback_url",
        "starts_on",
        "ends_on",
        "attribution_days",
        "customer_days",
        "attribution_min_seconds",
        "attribution_order",
        "countries",
        "devices",
        "access",
        "categories",
        "terms",
        "notes",
    ];

    /// Draft of a new campaign, with its defaults.
    #[must_use]
    pub fn blank(zone: Tz) -> Draft {
        let blank = Self {
            status: CampaignStatus::Draft,
            ..Self::live("", "")
        };
        blank.draft(zone)
    }

    /// The settings as [`CampaignSettings::check`] reads them; days are of this zone.
    #[must_use]
    pub fn draft(&self, zone: Tz) -> Draft {
        let optional = |text: &Option<String>| text.clone().unwrap_or_default();
        let day = |at: DateTime<Utc>| at.with_timezone(&zone).date_naive().to_string();
        // The last day is the day before the end.
        let last_day = |at: DateTime<Utc>| day(at - TimeDelta::seconds(1));
        let (sending, schedule, offer) = (&self.sending, self.schedule, &self.offer);
        Draft::with([
            ("name", self.name.clone()),
            ("status", self.status.to_string()),
            ("external_id", optional(&self.external_id)),
            ("destination", self.destination.clone()),
            ("destination_weight", sending.destination_weight.to_string()),
            ("click_parameter", optional(&sending.click_parameter)),
            ("extra_parameters", sending.extra_parameters.clone()),
            ("passed_parameters", sending.passed_parameters.on_one_line()),
            ("deep_link_hosts", sending.deep_link_hosts.on_one_line()),
            ("fallback_url", optional(&sending.fallback_url)),
            ("starts_on", schedule.starts_at.map(day).unwrap_or_default()),
            ("ends_on", schedule.ends_at.map(last_day).unwrap_or_default()),
            ("attribution_days", self.attribution_days.to_string()),
            ("customer_days", self.customer_days.to_string()),
            (
                "attribution_min_seconds",
                self.attribution_min_seconds.to_string(),
            ),
            ("attribution_order", self.attribution_order.on_one_line()),
            ("countries", self.audience.countries.on_one_line()),
            ("devices", self.audience.devices.on_one_line()),
            ("access", offer.access.to_string()),
            ("categories", offer.categories.on_one_line()),
            ("terms", offer.terms.clone()),
            ("notes", offer.notes.clone()),
        ])
    }

    /// Checks a draft and returns the settings, or `None` with the errors in the draft; days are of this zone.
    pub fn check(draft: &mut Draft, zone: Tz) -> Option<Self> {
        let name = draft.take("name", check_name);
        let status = draft.take("status", str::parse);
        let external_id = draft.take("external_id", check_external_id);
        let weight = draft.take("destination_weight", check_weight);
        let click_parameter = draft.take("click_parameter", destination::check_click_parameter);
        let extra_parameters = draft.take("extra_parameters", destination::check_parameters);
        let passed_parameters = draft.take("passed_parameters", passing::check_names);
        let deep_link_hosts = draft.take("deep_link_hosts", destination::check_hosts);
        let fallback_url = draft.take("fallback_url", destination::check_address);
        let starts_at = draft.take("starts_on", |text| check_day(text, zone, 0));
        let ends_at = draft.take("ends_on", |text| check_day(text, zone, 1));
        let attribution_days = draft.take("attribution_days", check_window);
        let customer_days = draft.take("customer_days", |text| check_number(text, Some(365), 1..=3_650));
        let attribution_min_seconds = draft.take("attribution_min_seconds", |text| {
            check_number(text, Some(0), 0..=86_400)
        });
        let attribution_order = draft.take("attribution_order", attribution_order::check_order);
        let countries = draft.take("countries", audience::check_countries);
        let devices = draft.take("devices", audience::check_devices);
        let access = draft.take("access", str::parse);
        let categories = draft.take("categories", check_categories);
        let terms = draft.take("terms", check_text);
        let notes = draft.take("notes", check_text);
        if let (Some(Some(starts)), Some(Some(ends))) = (starts_at, ends_at)
            && ends <= starts
        {
            let message = "The last day must not be before the first.";
            draft.errors.add("ends_on", message);
        }
        let sending = Sending {
            click_parameter: click_parameter?,
            extra_parameters: extra_parameters?,
            destination_weight: weight?,
            passed_parameters: passed_parameters?,
            deep_link_hosts: deep_link_hosts?,
            fallback_url: fallback_url?,
        };
        let destination = draft.take("destination", |text| {
            Destination::completed(text, &sending)?;
            Ok::<_, DestinationError>(text.to_owned())
        });
        let settings = Self {
            name: name?,
            status: status?,
            external_id: external_id?,
            destination: destination?,
            attribution_days: attribution_days?,
            customer_days: customer_days?,
            attribution_min_seconds: attribution_min_seconds?,
            attribution_order: attribution_order?,
            sending,
            schedule: Schedule {
                starts_at: starts_at?,
                ends_at: ends_at?,
            },
            audience: Audience {
                countries: countries?,
                devices: devices?,
            },
            offer: Offer {
                access: access?,
                categories: categories?,
                terms: terms?,
                notes: notes?,
            },
        };
        draft.errors.is_empty().then_some(settings)
    }

    /// Checks a draft over these settings, as [`CampaignSettings::check`] does. Unchanged days stay at their moments, even
    /// if the network's time zone has changed since.
    pub fn changed(&self, draft: &mut Draft, zone: Tz) -> Option<Self> {
        let before = self.draft(zone);
        let is_kept = |field: &str| draft.of(field) == before.of(field);
        let (keeps_start, keeps_end) = (is_kept("starts_on"), is_kept("ends_on"));
        let mut settings = Self::check(draft, zone)?;
        if keeps_start {
            settings.schedule.starts_at = self.schedule.starts_at;
        }
        if keeps_end {
            settings.schedule.ends_at = self.schedule.ends_at;
        }
        Some(settings)
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "status": self.status.as_str(),
            "external_id": self.external_id,
            "destination": self.destination,
            "attribution_days": self.attribution_days,
            "customer_days": self.customer_days,
            "attribution_min_seconds": self.attribution_min_seconds,
            "attribution_order": self.attribution_order,
            "click_parameter": self.sending.click_parameter,
            "extra_parameters": self.sending.extra_parameters,
            "destination_weight": self.sending.destination_weight,
            "passed_parameters": self.sending.passed_parameters,
            "deep_link_hosts": self.sending.deep_link_hosts,
            "fallback_url": self.sending.fallback_url,
            "starts_at": self.schedule.starts_at,
            "ends_at": self.schedule.ends_at,
            "audience": self.audience.to_json(),
            "access": self.offer.access.as_str(),
            "categories": self.offer.categories,
            "terms": self.offer.terms,
            "notes": self.offer.notes,
        })
    }
}

/// Parses the days of an attribution window.
///
/// # Errors
/// Message to show beside the field.
pub fn check_window(text: &str) -> Result<i32, String> {
    check_number(text, None, 1..=3650)
}

fn check_categories(text: &str) -> Result<Words, &'static str> {
    let words = Words::typed(text);
    if words.0.len() > 50 || words.0.iter().any(|word| word.chars().count() > 80) {
        return Err("Use at most 50 categories of at most 80 characters each.");
    }
    Ok(words)
}

/// Start of a day in the network's time zone, plus `later` days; `None` for an empty text.
fn check_day(text: &str, zone: Tz, later: u64) -> Result<Option<DateTime<Utc>>, &'static str> {
    if text.is_empty() {
        return Ok(None);
    }
    let day: Option<NaiveDate> = text.parse().ok();
    day.filter(|day| day.to_string().len() == 10)
        .and_then(|day| day.checked_add_days(Days::new(later)))
        .map(|day| Some(clock::start_of_day(day, zone)))
        .ok_or("Enter a day such as 2026-12-24.")
}

fn check_text(text: &str) -> Result<String, String> {
    match text.chars().count() {
        ..=MAX_TEXT_LENGTH => Ok(text.to_owned()),
        _ => Err(format!("Use at most {MAX_TEXT_LENGTH} characters.")),
    }
}
