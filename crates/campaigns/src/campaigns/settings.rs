//! What a person may set on a campaign: as it is stored, and as a draft of text that is checked.

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use diesel::prelude::*;
use schema::{Words, campaigns, clock};
use serde_json::{Value, json};
use tenancy::{Draft, check_name, check_number};

use super::{Access, CampaignStatus};
use crate::audience::{self, Audience};
use crate::destination::{self, Destination, DestinationError};

/// Longest terms and notes, in characters.
const LONGEST_TEXT: usize = 20_000;

/// How visitors are sent on.
#[derive(Debug, Clone, PartialEq, Eq, HasQuery, AsChangeset, Insertable)]
#[diesel(table_name = campaigns, treat_none_as_null = true)]
pub struct Sending {
    /// What the destination calls the click id; added to destinations that have no `{click_id}`.
    pub click_parameter: Option<String>,
    /// Parameters added to every destination, as `a=b&c={sub1}`.
    pub extra_parameters: String,
    /// Share of the clicks without a landing page of their own that go to the destination.
    pub destination_weight: i32,
    /// Hosts that links may lead to directly, with what is below them.
    pub deep_link_hosts: Words,
    /// Where visitors go whom the campaign does not want.
    pub fallback_url: Option<String>,
}

impl Default for Sending {
    fn default() -> Self {
        Self {
            click_parameter: None,
            extra_parameters: String::new(),
            destination_weight: 1,
            deep_link_hosts: Words::default(),
            fallback_url: None,
        }
    }
}

/// From when to when a campaign runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, HasQuery, AsChangeset, Insertable)]
#[diesel(table_name = campaigns, treat_none_as_null = true)]
pub struct Schedule {
    /// From when on visitors are sent.
    pub starts_at: Option<DateTime<Utc>>,
    /// Until when, not included.
    pub ends_at: Option<DateTime<Utc>>,
}

/// What affiliates are told.
#[derive(Debug, Clone, PartialEq, Eq, HasQuery, AsChangeset, Insertable)]
#[diesel(table_name = campaigns)]
pub struct Offer {
    /// Which affiliates may promote it.
    pub access: Access,
    /// Words they find it by.
    pub categories: Words,
    /// What they agree to.
    pub terms: String,
    /// What they should know.
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

/// What a person may set on a campaign, checked.
#[derive(Debug, Clone, PartialEq, Eq, AsChangeset, Insertable)]
#[diesel(table_name = campaigns, treat_none_as_null = true)]
pub struct CampaignSettings {
    /// As people see it; not empty.
    pub name: String,
    /// Whether it runs.
    pub status: CampaignStatus,
    /// What the advertiser or a former system calls it; unique within the network.
    pub external_id: Option<String>,
    /// What [`crate::Destination::parse`] accepted.
    pub destination: String,
    /// How many days after a click a conversion still counts: 1 to 3650.
    pub attribution_days: i32,
    /// How many seconds old a click must be for a conversion to count: 0 to a day.
    pub attribution_min_seconds: i32,
    /// How visitors are sent on.
    #[diesel(embed)]
    pub sending: Sending,
    /// From when to when.
    #[diesel(embed)]
    pub schedule: Schedule,
    /// Whom it wants.
    #[diesel(embed)]
    pub audience: Audience,
    /// What affiliates are told.
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
            attribution_min_seconds: 0,
            sending: Sending::default(),
            schedule: Schedule::default(),
            audience: Audience::default(),
            offer: Offer::default(),
        }
    }

    /// What may be said of a campaign in a [`Draft`].
    pub const FIELDS: [&'static str; 19] = [
        "name",
        "status",
        "external_id",
        "destination",
        "destination_weight",
        "click_parameter",
        "extra_parameters",
        "deep_link_hosts",
        "fallback_url",
        "starts_on",
        "ends_on",
        "attribution_days",
        "attribution_min_seconds",
        "countries",
        "devices",
        "access",
        "categories",
        "terms",
        "notes",
    ];

    /// What a campaign is that nothing is said of.
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
        // The last day is the one before the moment it ends at.
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
            ("deep_link_hosts", sending.deep_link_hosts.on_one_line()),
            ("fallback_url", optional(&sending.fallback_url)),
            ("starts_on", schedule.starts_at.map(day).unwrap_or_default()),
            ("ends_on", schedule.ends_at.map(last_day).unwrap_or_default()),
            ("attribution_days", self.attribution_days.to_string()),
            (
                "attribution_min_seconds",
                self.attribution_min_seconds.to_string(),
            ),
            ("countries", self.audience.countries.on_one_line()),
            ("devices", self.audience.devices.on_one_line()),
            ("access", offer.access.to_string()),
            ("categories", offer.categories.on_one_line()),
            ("terms", offer.terms.clone()),
            ("notes", offer.notes.clone()),
        ])
    }

    /// The settings that a draft says, if all can be accepted; days are of this zone.
    pub fn check(draft: &mut Draft, zone: Tz) -> Option<Self> {
        let name = draft.take("name", check_name);
        let status = draft.take("status", str::parse);
        let external_id = draft.take("external_id", check_external_id);
        let weight = draft.take("destination_weight", check_weight);
        let click_parameter = draft.take("click_parameter", destination::check_click_parameter);
        let extra_parameters = draft.take("extra_parameters", destination::check_parameters);
        let deep_link_hosts = draft.take("deep_link_hosts", destination::check_hosts);
        let fallback_url = draft.take("fallback_url", destination::check_address);
        let starts_at = draft.take("starts_on", |text| check_day(text, zone, 0));
        let ends_at = draft.take("ends_on", |text| check_day(text, zone, 1));
        let attribution_days = draft.take("attribution_days", check_window);
        let attribution_min_seconds = draft.take("attribution_min_seconds", |text| {
            check_number(text, Some(0), 0..=86_400)
        });
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
            attribution_min_seconds: attribution_min_seconds?,
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

    /// The settings that a draft says over these, if all can be accepted. Days that are as they were stay the moments they
    /// were, also where the network's zone has changed meanwhile.
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
            "attribution_min_seconds": self.attribution_min_seconds,
            "click_parameter": self.sending.click_parameter,
            "extra_parameters": self.sending.extra_parameters,
            "destination_weight": self.sending.destination_weight,
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

/// Days of an attribution window as typed.
///
/// # Errors
/// A sentence for the person who typed them.
pub fn check_window(text: &str) -> Result<i32, String> {
    check_number(text, None, 1..=3650)
}

/// What another system calls something, as typed; empty for nothing.
pub(crate) fn check_external_id(text: &str) -> Result<Option<String>, &'static str> {
    match text {
        "" => Ok(None),
        _ if text.chars().count() > 120 || text.contains(char::is_control) => {
            Err("Use at most 120 characters, and no control characters.")
        }
        _ => Ok(Some(text.to_owned())),
    }
}

pub(crate) fn check_weight(text: &str) -> Result<i32, String> {
    check_number(text, Some(1), 0..=1000)
}

fn check_categories(text: &str) -> Result<Words, &'static str> {
    let words = Words::typed(text);
    match words.0.len() > 50 || words.0.iter().any(|word| word.chars().count() > 80) {
        true => Err("Use at most 50 categories of at most 80 characters each."),
        false => Ok(words),
    }
}

/// The beginning of a day on the network's clock, so many days later; none where none was typed.
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
        ..=LONGEST_TEXT => Ok(text.to_owned()),
        _ => Err(format!("Use at most {LONGEST_TEXT} characters.")),
    }
}
