//! Settings of a destination as a form or an API request sends them.

use dialects::{Template, TemplateProblem};
use schema::{CampaignId, GoalId};
use serde_json::{Value, json};
use tenancy::{Draft, check_name, yes_or_empty};
use url::Url;

use super::DestinationKind;
use crate::content::DeliveryEvent;
use crate::format::BodyFormat;
use crate::guard::Guard;
use crate::send::CallMethod;
use crate::value_maps::ValueMaps;

/// Most unknown macros that are named at once.
const MAX_UNKNOWN_MACROS: usize = 10;

/// Settings of a destination, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationSettings {
    /// Name shown to users; not empty.
    pub name: String,
    /// Campaign whose conversions are delivered; `None` for all.
    pub campaign_id: Option<CampaignId>,
    /// Goal whose conversions are delivered; `None` for all.
    pub goal_id: Option<GoalId>,
    /// Events that are delivered; not empty.
    pub events: Vec<DeliveryEvent>,
    /// Method.
    pub method: CallMethod,
    /// Body of the calls.
    pub format: BodyFormat,
    /// URL with macros.
    pub url: String,
    /// Words of the receiver.
    pub value_maps: ValueMaps,
    /// True if order IDs are sent as they are.
    pub sends_order_ids: bool,
}

impl DestinationSettings {
    /// Fields of a destination's [`Draft`].
    pub const FIELDS: [&'static str; 9] = [
        "name",
        "campaign",
        "goal",
        "events",
        "method",
        "format",
        "url",
        "value_maps",
        "sends_order_ids",
    ];

    /// The settings as [`DestinationSettings::check`] reads them.
    #[must_use]
    pub fn draft(&self) -> Draft {
        let text = |id: Option<String>| id.unwrap_or_default();
        Draft::with([
            ("name", self.name.clone()),
            ("campaign", text(self.campaign_id.map(|id| id.to_string()))),
            ("goal", text(self.goal_id.map(|id| id.to_string()))),
            ("events", self.event_words(", ")),
            ("method", self.method.to_string()),
            ("format", self.format.to_string()),
            ("url", self.url.clone()),
            ("value_maps", self.value_maps.to_string()),
            ("sends_order_ids", yes_or_empty(self.sends_order_ids)),
        ])
    }

    /// Draft of a new destination.
    #[must_use]
    pub fn fresh(kind: DestinationKind) -> Draft {
        let method = match kind {
            DestinationKind::Postback => CallMethod::Get,
            DestinationKind::Webhook => CallMethod::Post,
        };
        Draft::with([
            (
                "events",
                "created, approved, rejected, reversed, adjusted".to_owned(),
            ),
            ("method", method.to_string()),
            ("format", BodyFormat::Standard.to_string()),
        ])
    }

    /// Checks a draft and returns the settings, or `None` with the errors in the draft.
    pub fn check(draft: &mut Draft, kind: DestinationKind, guard: &Guard) -> Option<Self> {
        let name = draft.take("name", check_name);
        let campaign_id = draft.take("campaign", optional);
        let goal_id = draft.take("goal", optional);
        let events = draft.take("events", |text| check_events(text, kind));
        let mut method = match kind {
            DestinationKind::Postback => draft.take("method", str::parse),
            DestinationKind::Webhook => Some(CallMethod::Post),
        };
        let format = draft.take("format", |text| {
            let format = match text {
                "" => BodyFormat::Standard,
                word => word.parse()?,
            };
            if format.is_for(kind) {
                Ok(format)
            } else {
                Err(format!("A {kind} has no body of this format."))
            }
        });
        if format.is_some_and(|format| format != BodyFormat::Standard) {
            method = Some(CallMethod::Post);
        }
        let url = draft.take("url", |text| {
            check_url(text, kind, format.unwrap_or(BodyFormat::Standard), guard)
        });
        let value_maps = draft.take("value_maps", str::parse);
        Some(Self {
            name: name?,
            campaign_id: campaign_id?,
            goal_id: goal_id?,
            events: events?,
            method: method?,
            format: format?,
            url: url?,
            value_maps: value_maps?,
            sends_order_ids: draft.is_set("sends_order_ids"),
        })
    }

    pub(super) fn event_words(&self, separator: &str) -> String {
        let words: Vec<&str> = self.events.iter().map(|kind| kind.as_str()).collect();
        words.join(separator)
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "name": self.name, "campaign": self.campaign_id, "goal": self.goal_id, "events": self.events,
            "method": self.method, "format": self.format, "url": self.url, "value_maps": self.value_maps.to_json(),
            "sends_order_ids": self.sends_order_ids,
        })
    }
}

fn optional<T: std::str::FromStr<Err: ToString>>(text: &str) -> Result<Option<T>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error: T::Err| error.to_string())
}

fn check_events(text: &str, kind: DestinationKind) -> Result<Vec<DeliveryEvent>, String> {
    let words = text
        .split([',', ' ', '\n'])
        .map(str::trim)
        .filter(|word| !word.is_empty());
    let mut events = words.map(str::parse).collect::<Result<Vec<DeliveryEvent>, _>>()?;
    events.sort();
    events.dedup();
    if events.is_empty() {
        return Err("Choose at least one event.".to_owned());
    }
    let of_network = events.iter().find(|event| !event.is_of_conversion());
    if let (DestinationKind::Postback, Some(event)) = (kind, of_network) {
        return Err(format!("{event} is for webhooks only."));
    }
    Ok(events)
}

/// Finding about a URL that a user types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlFindings {
    /// Sentences: each unknown macro, and the first other problem.
    pub problems: Vec<String>,
    /// URL with sample values; `None` with a problem.
    pub preview: Option<String>,
}

/// Checks a URL and the words of the receiver while a user types them.
#[must_use]
pub fn look_at_url(
    url: &str,
    value_maps: &str,
    (kind, format): (DestinationKind, BodyFormat),
    guard: &Guard,
) -> UrlFindings {
    let mut problems = Vec::new();
    let mut known = url.trim().to_owned();
    if kind == DestinationKind::Postback {
        while let Err(TemplateProblem::Unknown { name, at }) = Template::parse(&known) {
            problems.push(format!("{{{name}}} is not a macro."));
            let end = at + name.len() + 2;
            // A name of more than 64 characters is not known in full.
            if problems.len() >= MAX_UNKNOWN_MACROS || known.get(end - 1..end) != Some("}") {
                return UrlFindings {
                    problems,
                    preview: None,
                };
            }
            known.replace_range(at..end, "");
        }
    }
    problems.extend(check_url(&known, kind, format, guard).err());
    problems.extend(value_maps.parse::<ValueMaps>().err());
    let preview = match kind {
        DestinationKind::Postback if problems.is_empty() => {
            Template::parse(&known).ok().map(|template| template.preview())
        }
        DestinationKind::Postback | DestinationKind::Webhook => None,
    };
    UrlFindings { problems, preview }
}

/// Checks the URL with samples for its macros: none of them can reach the host, which the template forbids.
fn check_url(text: &str, kind: DestinationKind, format: BodyFormat, guard: &Guard) -> Result<String, String> {
    let url = match kind {
        DestinationKind::Postback => Template::parse(text)
            .map_err(|problem| problem.to_string())?
            .preview(),
        DestinationKind::Webhook if text.len() > dialects::template::TEMPLATE_LIMIT => {
            return Err(dialects::TemplateProblem::TooLong.to_string());
        }
        DestinationKind::Webhook => text.to_owned(),
    };
    let parsed = Url::parse(&url).map_err(|problem| format!("This is not a web address: {problem}."))?;
    guard.check_url(&parsed).map_err(|refused| refused.to_string())?;
    format.check(&parsed)?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACKER: (DestinationKind, BodyFormat) = (DestinationKind::Postback, BodyFormat::Standard);

    fn problems(url: &str, value_maps: &str) -> Vec<String> {
        look_at_url(url, value_maps, TRACKER, &Guard::default()).problems
    }

    #[test]
    fn every_unknown_macro_is_named_while_a_user_types() {
        assert_eq!(
            problems("https://t.example/?a={subid}&b={sub1}&c={payuot}", ""),
            ["{subid} is not a macro.", "{payuot} is not a macro."]
        );
        let long = format!("https://t.example/?a={{{}}}", "x".repeat(80));
        assert_eq!(problems(&long, "").len(), 1);
        assert_eq!(problems("https://t.example/?a={{b}", "").len(), 1, "unclosed");
        assert_eq!(
            problems("http://10.0.0.1/?a={sub9}", "status = sale"),
            [
                "{sub9} is not a macro.",
                "10.0.0.1 is not an address on the internet. The operator can allow private addresses.",
                "“status = sale” names no value. Write a line such as: status approved = sale",
            ]
        );
        let fine = look_at_url("https://t.example/?c={sub1}", "", TRACKER, &Guard::default());
        assert_eq!(fine.problems, [""; 0]);
        assert_eq!(fine.preview.as_deref(), Some("https://t.example/?c=newsletter"));
    }
}
