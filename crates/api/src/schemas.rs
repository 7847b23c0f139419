//! Schemas of text fields in the OpenAPI document: enums, IDs, and kinds of free text. They describe; the crates below
//! check. No schema excludes a value that those checks accept.

use campaigns::campaigns as campaign_table;
use campaigns::{audience, caps, goals, integrations, promoters, quick_start, url_templates};
use serde_json::{Value, json};
use tenancy::{advertisers, affiliates, applications, networks, table};
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Declares schemas of enums, each with the list of its values.
macro_rules! words {
    ($($(#[$meta:meta])* $name:ident = $all:expr;)+) => {
        $($(#[$meta])* pub(crate) struct $name;

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                $crate::schemas::words_of(&$all)
            }
        }

        impl utoipa::ToSchema for $name {})+
    };
}
pub(crate) use words;

/// Schema of an enum.
pub(crate) fn words_of(all: &[impl ToString]) -> RefOr<Schema> {
    let words: Vec<String> = all.iter().map(ToString::to_string).collect();
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(words))
        .into()
}

words! {
    /// Status of a campaign.
    CampaignStatus = campaign_table::CampaignStatus::ALL;
    /// Affiliates that may promote a campaign.
    Access = campaign_table::Access::ALL;
    /// Kind of device.
    Device = audience::DEVICES;
    /// Kind of goal.
    GoalKind = goals::GoalKind::ALL;
    /// Goal of a quick start.
    FirstGoal = quick_start::FIRST_GOALS.map(|goal| goal.code);
    /// Key by which conversions of a goal are deduplicated.
    UniqueBy = goals::UniqueBy::ALL;
    /// Metric that a cap limits.
    Metric = caps::Metric::ALL;
    /// Period of a cap.
    CapPeriod = caps::CapPeriod::ALL;
    /// Status of an affiliate's access to a campaign.
    PromoterStatus = promoters::PromoterStatus::ALL;
    /// Dialect of postbacks.
    Dialect = integrations::known_dialects();
    /// Format of the response to a postback.
    AnswerFormat = integrations::AnswerFormat::ALL;
    /// Direction of the requests of a URL template.
    Direction = url_templates::Direction::ALL;
    /// Kind of a destination of deliveries.
    DestinationKind = delivery::destinations::DestinationKind::ALL;
    /// State of a destination.
    DestinationState = delivery::destinations::DestinationState::ALL;
    /// Reason why a destination is paused.
    PausedBecause = delivery::destinations::PausedBecause::ALL;
    /// HTTP method of a delivery.
    CallMethod = delivery::CallMethod::ALL;
    /// Body of the calls of a destination.
    BodyFormat = delivery::BodyFormat::ALL;
    /// State of a delivery.
    DeliveryState = delivery::deliveries::DeliveryState::ALL;
    /// Event that a destination can get: of a conversion, or for webhooks only, of the network.
    DeliveryEvent = delivery::DeliveryEvent::ALL;
    /// Status of a conversion.
    ConversionStatus = conversions::ConversionStatus::ALL;
    /// Evidence that attributed a conversion to an affiliate.
    AttributedBy = campaigns::AttributedBy::ALL;
    /// Time by which a report counts conversions.
    Basis = reports::Basis::ALL;
    /// Members who see a saved view.
    Audience = reports::saved::Audience::ALL;
    /// Rhythm of a scheduled mail.
    Rhythm = reports::mails::Rhythm::ALL;
    /// Period relative to today.
    RelativePeriod = reports::Period::ALL;
    /// Period of a saved report, relative to the day on which it runs; `fixed` for the days of its query.
    SavedPeriod = saved_periods();
    /// Kind of the file of a report.
    FileFormat = ["csv", "xlsx"];
    /// Status of a file of a report.
    FileStatus = reports::files::FileStatus::ALL;
    /// Dimension of a report.
    Dimension = reports::Dimension::ALL;
    /// Kind of alert.
    AlertKind = monitoring::alerts::AlertKind::ALL;
    /// Reason why a conversion needs a manual review.
    ReviewBecause = conversions::ReviewBecause::ALL;
    /// Correction of a conversion.
    CorrectionAction = ["approve", "reject", "hold", "release", "adjust", "move"];
    /// Correction of many conversions.
    BulkAction = ["approve", "reject", "hold", "release"];
    /// Reason for a correction of a conversion.
    ReasonCode = conversions::ReasonCode::ALL;
    /// Origin of a statement about a conversion.
    StatementSource = conversions::Source::ALL;
    /// Status of a postback.
    PostbackStatus = postbacks::PostbackStatus::ALL;
    /// Stage of the tests of a goal.
    TestStage = postbacks::test_progress::TestStage::ALL;
    /// Reason why a stored request is not complete.
    Incomplete = postbacks::Incomplete::ALL;
    /// Finding of a step of a trace.
    Found = ["good", "tolerated", "noted"];
    /// Status of an advertiser.
    AdvertiserStatus = advertisers::AdvertiserStatus::ALL;
    /// Status of an affiliate.
    AffiliateStatus = affiliates::AffiliateStatus::ALL;
    /// Status of an application.
    ApplicationStatus = applications::ApplicationStatus::ALL;
    /// Status of a network.
    NetworkStatus = networks::NetworkStatus::ALL;
    /// State of a tracking host.
    HostState = networks::HostState::ALL;
    /// Record that proved a tracking host.
    HostProof = networks::Proof::ALL;
    /// Result of the check of a kind of DNS record.
    RecordResult = networks::RecordResult::ALL;
    /// Applications that are approved automatically.
    AutoApprove = networks::AutoApprove::ALL;
    /// Outcome of a row of an imported file.
    Outcome = table::Outcome::ALL;
    /// Origin of an exchange rate: set by a user, imported from CSV, or from the European Central Bank.
    RateSource = tenancy::exchange_rates::RateSource::ALL;
    /// Channel through which a change was made.
    Via = tenancy::Via::ALL;
    /// Role of a member.
    Role = tenancy::RoleKind::ALL;
    /// Role of the network's staff.
    StaffRole = tenancy::memberships::STAFF;
    /// Scope of an API key.
    Scope = tenancy::ApiScope::ALL;
    /// Order of a list; `-` reverses it.
    Sort = ["name", "-name", "created", "-created"];
    /// Result of sending a mail.
    MailDelivery = ["sent", "not_configured", "failed"];
}

fn saved_periods() -> Vec<&'static str> {
    let periods = reports::Period::ALL.iter().map(|period| period.as_str());
    periods.chain(["fixed"]).collect()
}

/// Maximum length of a text in characters. `_` leaves it (and the minimum) to the pattern, because surrounding white
/// space does not count.
macro_rules! max_length {
    (_) => {
        None
    };
    ($max:literal) => {
        Some($max)
    };
}

/// Declares schemas of free text: minimum and maximum length, pattern, example.
macro_rules! texts {
    ($($(#[$meta:meta])* $name:ident: $min:literal to $max:tt like $pattern:expr, such as $example:literal;)+) => {
        $($(#[$meta])* pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                text($min, max_length!($max), $pattern, json!($example))
            }
        }

        impl ToSchema for $name {})+
    };
}

fn text(min: usize, max: Option<usize>, pattern: Option<&str>, example: Value) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length((min > 0).then_some(min))
        .max_length(max)
        .pattern(pattern)
        .examples([example])
        .into()
}

/// Declares schemas of IDs of four bytes: positive numbers, whose last symbol has three unused bits, which are zero.
macro_rules! number_ids {
    ($($(#[$meta:meta])* $name:ident of $id:ty;)+) => {
        $($(#[$meta])* pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let prefix = <$id>::PREFIX;
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .pattern(Some(format!("^{prefix}_[0-9a-f][0-9a-hjkmnp-tv-z]{{5}}[08gr]$")))
                    .examples([json!(format!("{prefix}_2y6c3r8"))])
                    .into()
            }
        }

        impl ToSchema for $name {})+
    };
}

number_ids! {
    /// ID of a campaign.
    CampaignId of schema::CampaignId;
    /// ID of a goal.
    GoalId of schema::GoalId;
    /// ID of a commission rule.
    RuleId of schema::RuleId;
    /// ID of a landing page.
    LandingPageId of schema::LandingPageId;
    /// ID of a cap.
    CapId of schema::CapId;
    /// ID of a tracking link.
    LinkId of schema::LinkId;
    /// ID of a URL template.
    UrlTemplateId of schema::UrlTemplateId;
    /// ID of a file of a report.
    ReportFileId of schema::ReportFileId;
    /// ID of a share link of a report.
    ReportLinkId of schema::ReportLinkId;
    /// ID of a scheduled mail of a report.
    ReportMailId of schema::ReportMailId;
    /// ID of a saved view.
    SavedReportId of schema::SavedReportId;
    /// ID of an advertiser.
    AdvertiserId of schema::AdvertiserId;
    /// ID of an affiliate.
    AffiliateId of schema::AffiliateId;
    /// ID of a destination of deliveries.
    DestinationId of schema::DestinationId;
    /// ID of an affiliate group.
    GroupId of schema::GroupId;
    /// ID of an application.
    ApplicationId of schema::ApplicationId;
    /// ID of a membership.
    MembershipId of schema::MembershipId;
    /// ID of an invitation.
    InvitationId of schema::InvitationId;
    /// ID of an API key.
    ApiKeyId of schema::ApiKeyId;
    /// ID of a network.
    NetworkId of schema::NetworkId;
    /// ID of a person.
    PersonId of schema::PersonId;
}

/// At least one character that is not white space.
const NOT_BLANK: Option<&str> = Some(r"\S");
/// Not blank, at most 120 characters, no control character inside.
const ONE_LINE: Option<&str> =
    Some(r"^\s*[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]{0,118}[^\s\x00-\x1f\x7f-\x9f])?\s*$");
/// No control character inside except line breaks and tabs.
const LINES: Option<&str> = Some(r"^\s*[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*\s*$");
/// Local part, and a domain of at least two labels, of visible ASCII without brackets and other delimiters.
const EMAIL: Option<&str> =
    Some(r"^\s*[!#-'*+\-./0-9=?A-Z^-~]+@[!#-'*+\-/0-9=?A-Z^-~]+(\.[!#-'*+\-/0-9=?A-Z^-~]+)+\s*$");

texts! {
    /// Reference to an object by its ID, its external ID, or its name if unique.
    Reference: 0 to _ like None, such as "Nova Shoes";
    /// Cursor: `next` of the previous page.
    Cursor: 0 to 200 like None, such as "lnk_2y6c3r8";
    /// Name of an event consumer: lower-case letters, digits, `.`, `_` and `-`.
    ConsumerName: 1 to 64 like Some("^[a-z0-9][a-z0-9._-]*$"), such as "warehouse";
    /// Percentage of the order amount, fixed amount in the campaign's currency, or both.
    Pay: 0 to _ like None, such as "1.00 + 5 %";
    /// Amount of money: digits with at most one decimal point.
    Amount: 0 to _ like None, such as "49.99";
    /// Amount of money with its currency.
    Money: 0 to _ like None, such as "49.99 EUR";
    /// Day in the network's time zone.
    Day: 0 to _ like None, such as "2026-12-24";
    /// URL. Destinations may contain macros such as `{click_id}`.
    Url: 0 to _ like None, such as "https://shop.example/?id={click_id}";
    /// URL with macros, at most 2048 bytes.
    TemplateUrl: 0 to _ like None, such as "https://tracker.example/postback?cid={aff_click_id}";
    /// Text; its field decides which values are valid.
    Text: 0 to _ like None, such as "clickref";
    /// ID of a replay.
    ReplayId: 36 to 36 like Some("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"), such as "019aa4f2-5c1e-7000-8000-0f6b7d3a9c11";
    /// ID of a correction that waits for a second user.
    WaitingCorrectionId: 30 to 30 like Some("^wai_[0-9a-hjkmnp-tv-z]{25}[048cgmrw]$"), such as "wai_06crz6hq5xw7d1qk3w5m8t2n9g";
    /// ID of a statement about a conversion, or of corrections that were made together.
    StatementId: 36 to 36 like Some("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"), such as "019aa4f2-5c1e-7000-8000-0f6b7d3a9c11";
    /// Click ID, as links send it to landing pages.
    ClickId: 44 to 44 like Some("^[0-9a-hjkmnp-tv-z]{44}$"), such as "040t4a9aexqnwbarvmpway522nq0bz9h2q0nm8p71kxg";
    /// ID of a conversion.
    ConversionId: 30 to 30 like Some("^cnv_[0-9a-hjkmnp-tv-z]{25}[048cgmrw]$"), such as "cnv_06crz6hq5xw7d1qk3w5m8t2n9g";
    /// ID of a delivery.
    DeliveryId: 30 to 30 like Some("^dlv_[0-9a-hjkmnp-tv-z]{25}[048cgmrw]$"), such as "dlv_06crz6hq5xw7d1qk3w5m8t2n9g";
    /// ID of a postback: the receipt in its response.
    PostbackId: 29 to 29 like Some("^pb_[0-9a-hjkmnp-tv-z]{25}[048cgmrw]$"), such as "pb_06crz6hq5xw7d1qk3w5m8t2n9g";
    /// ID of an alert.
    AlertId: 30 to 30 like Some("^alr_[0-9a-hjkmnp-tv-z]{25}[048cgmrw]$"), such as "alr_06crz6hq5xw7d1qk3w5m8t2n9g";
    /// ID of an entry of the audit log.
    AuditId: 30 to 30 like Some("^aud_[0-9a-hjkmnp-tv-z]{25}[048cgmrw]$"), such as "aud_06crz6hq5xw7d1qk3w5m8t2n9g";
    /// Name: at most 120 characters, no control characters. Surrounding white space is removed.
    Name: 0 to _ like ONE_LINE, such as "Nova Shoes";
    /// Text with line breaks, at most 4,000 characters. Surrounding white space is removed.
    Notes: 0 to _ like LINES, such as "Pays on the 15th.";
    /// Tag, without commas and semicolons.
    Tag: 1 to 40 like Some(r"^[^,;\x00-\x1f\x7f-\x9f]*$"), such as "vip";
    /// E-mail address; stored in lower case.
    Email: 5 to 254 like EMAIL, such as "ada@example.com";
    /// Name for use in URLs: lower-case letters, digits and hyphens.
    Slug: 0 to _ like Some(r"^\s*[a-z0-9][a-z0-9-]{0,38}[a-z0-9]\s*$"), such as "orbit";
    /// IANA name of a time zone.
    TimeZone: 1 to 64 like NOT_BLANK, such as "Europe/Warsaw";
    /// ISO 4217 code of a currency.
    Currency: 3 to 3 like Some("^[A-Z]{3}$"), such as "EUR";
    /// Value of one euro in a currency: digits with at most nine decimals.
    PerEuro: 0 to _ like None, such as "1.0834";
    /// Day and currency of an exchange rate.
    RateId: 14 to 14 like Some("^[0-9]{4}-[0-9]{2}-[0-9]{2}-[A-Z]{3}$"), such as "2026-11-27-USD";
    /// Host name, with an optional port, without `https://`.
    Host: 1 to 253 like NOT_BLANK, such as "trk.example.com";
    /// IP address or network (CIDR).
    AddressOrNetwork: 0 to _ like Some(r"^\s*[0-9A-Fa-f:.]{2,45}(/[0-9]{1,3})?\s*$"), such as "203.0.113.0/24";
    /// Domain of e-mail addresses.
    Domain: 1 to 253 like NOT_BLANK, such as "example.com";
    /// Text filter.
    Filter: 0 to 200 like Some(r"^[^\x00-\x1f\x7f-\x9f]*$"), such as "nova";
}
