//! What the texts of requests and answers look like, for the OpenAPI document: closed sets of words, ids, and the kinds
//! of text that people write. The checks themselves are in `tenancy`; what is declared here refuses nothing that they
//! accept.

use campaigns::campaigns as campaign_table;
use campaigns::{audience, caps, goals, integrations, promoters, url_templates};
use serde_json::{Value, json};
use tenancy::{advertisers, affiliates, applications, networks, table};
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

macro_rules! words {
    ($($(#[$meta:meta])* $name:ident = $all:expr;)+) => {
        $($(#[$meta])* pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let words: Vec<String> = $all.iter().map(ToString::to_string).collect();
                ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).into()
            }
        }

        impl ToSchema for $name {})+
    };
}

words! {
    /// Whether a campaign runs.
    CampaignStatus = campaign_table::CampaignStatus::ALL;
    /// Which affiliates may promote a campaign.
    Access = campaign_table::Access::ALL;
    /// A kind of device.
    Device = audience::DEVICES;
    /// What kind of thing a goal is.
    GoalKind = goals::GoalKind::ALL;
    /// What makes a conversion the same one again.
    UniqueBy = goals::UniqueBy::ALL;
    /// What a cap counts.
    Metric = caps::Metric::ALL;
    /// In what time a cap counts.
    CapPeriod = caps::CapPeriod::ALL;
    /// Whether an affiliate may promote a campaign.
    PromoterStatus = promoters::PromoterStatus::ALL;
    /// The system in whose spelling a postback is.
    Dialect = integrations::known_dialects();
    /// In whose voice a postback is answered.
    AnswerFormat = integrations::AnswerFormat::ALL;
    /// Who calls whom by a URL template.
    Direction = url_templates::Direction::ALL;
    /// Where a conversion stands.
    ConversionStatus = conversions::ConversionStatus::ALL;
    /// What says whose conversion it is.
    AttributedBy = conversions::AttributedBy::ALL;
    /// What seems to have failed.
    AlertKind = monitoring::alerts::AlertKind::ALL;
    /// Why somebody of the network must look at a conversion before it is approved.
    ReviewBecause = conversions::ReviewBecause::ALL;
    /// What became of a postback.
    PostbackStatus = postbacks::PostbackStatus::ALL;
    /// What a step of a decision found.
    Found = ["good", "tolerated", "noted"];
    /// Whether an advertiser is worked with.
    AdvertiserStatus = advertisers::AdvertiserStatus::ALL;
    /// Whether an affiliate is worked with.
    AffiliateStatus = affiliates::AffiliateStatus::ALL;
    /// What became of an application.
    ApplicationStatus = applications::ApplicationStatus::ALL;
    /// Whether a network works.
    NetworkStatus = networks::NetworkStatus::ALL;
    /// Whose application is approved at once.
    AutoApprove = networks::AutoApprove::ALL;
    /// What a row of a file does.
    Outcome = table::Outcome::ALL;
    /// By what means something was done.
    Via = tenancy::Via::ALL;
    /// A role.
    Role = tenancy::RoleKind::ALL;
    /// A role of the network's own people.
    StaffRole = tenancy::memberships::STAFF;
    /// What a key may be used for.
    Scope = tenancy::ApiScope::ALL;
    /// In which order advertisers and affiliates are listed.
    Sort = ["name", "-name", "created", "-created"];
    /// For programs: what went wrong.
    ErrorCode = crate::error::CODES;
    /// What became of a mail.
    MailDelivery = ["sent", "not_configured", "failed"];
}

/// The most characters of a text; `_` where the pattern says it (and the fewest too), because white space around it
/// does not count.
macro_rules! most {
    (_) => {
        None
    };
    ($max:literal) => {
        Some($max)
    };
}

macro_rules! texts {
    ($($(#[$meta:meta])* $name:ident: $min:literal to $max:tt like $pattern:expr, such as $example:literal;)+) => {
        $($(#[$meta])* pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                text($min, most!($max), $pattern, json!($example))
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

/// An id of four bytes that is a positive number: its last symbol has three bits to spare, which are zero.
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
    /// A campaign.
    CampaignId of schema::CampaignId;
    /// A goal.
    GoalId of schema::GoalId;
    /// A commission rule.
    RuleId of schema::RuleId;
    /// A landing page.
    LandingPageId of schema::LandingPageId;
    /// A cap.
    CapId of schema::CapId;
    /// A tracking link.
    LinkId of schema::LinkId;
    /// A URL template.
    UrlTemplateId of schema::UrlTemplateId;
    /// An advertiser.
    AdvertiserId of schema::AdvertiserId;
    /// An affiliate.
    AffiliateId of schema::AffiliateId;
    /// A group of affiliates.
    GroupId of schema::GroupId;
    /// An application.
    ApplicationId of schema::ApplicationId;
    /// A membership.
    MembershipId of schema::MembershipId;
    /// An invitation.
    InvitationId of schema::InvitationId;
    /// An API key.
    ApiKeyId of schema::ApiKeyId;
    /// A network.
    NetworkId of schema::NetworkId;
    /// A person.
    PersonId of schema::PersonId;
}

/// Something else than white space.
const NOT_BLANK: Option<&str> = Some(r"\S");
/// Not blank, of at most 120 characters, and with no control character inside.
const ONE_LINE: Option<&str> =
    Some(r"^\s*[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]{0,118}[^\s\x00-\x1f\x7f-\x9f])?\s*$");
/// With no control character inside but line breaks and tabs.
const LINES: Option<&str> = Some(r"^\s*[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*\s*$");
/// A name, and a domain of two labels at least, of visible ASCII without brackets and the like.
const ADDRESS: Option<&str> =
    Some(r"^\s*[!#-'*+\-./0-9=?A-Z^-~]+@[!#-'*+\-/0-9=?A-Z^-~]+(\.[!#-'*+\-/0-9=?A-Z^-~]+)+\s*$");

texts! {
    /// What identifies a thing: its id, what another system calls it, or a name that no other has.
    Reference: 0 to _ like None, such as "Nova Shoes";
    /// Where a page ends; what the page before said as `next`.
    Cursor: 0 to 200 like None, such as "lnk_2y6c3r8";
    /// A share, a sum in the campaign's currency, or both.
    Pay: 0 to _ like None, such as "1.00 + 5 %";
    /// An amount of money: digits with at most one decimal point.
    Amount: 0 to _ like None, such as "49.99";
    /// An amount of money with its currency.
    Money: 0 to _ like None, such as "49.99 EUR";
    /// A day on the network's clock.
    Day: 0 to _ like None, such as "2026-12-24";
    /// An address on the web, with macros such as `{click_id}` where visitors are sent to it.
    Url: 0 to _ like None, such as "https://shop.example/?id={click_id}";
    /// An address on the web with macros, of at most 2048 bytes.
    TemplateUrl: 0 to _ like None, such as "https://tracker.example/postback?cid={aff_click_id}";
    /// A text that is checked by what it is for.
    Text: 0 to _ like None, such as "clickref";
    /// A replay.
    ReplayId: 36 to 36 like Some("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"), such as "019aa4f2-5c1e-7000-8000-0f6b7d3a9c11";
    /// A conversion.
    ConversionId: 30 to 30 like Some("^cnv_[0-9a-hjkmnp-tv-z]{25}[048cgmrw]$"), such as "cnv_06crz6hq5xw7d1qk3w5m8t2n9g";
    /// A postback, by the receipt it was answered with.
    PostbackId: 29 to 29 like Some("^pb_[0-9a-hjkmnp-tv-z]{25}[048cgmrw]$"), such as "pb_06crz6hq5xw7d1qk3w5m8t2n9g";
    /// An alert.
    AlertId: 30 to 30 like Some("^alr_[0-9a-hjkmnp-tv-z]{25}[048cgmrw]$"), such as "alr_06crz6hq5xw7d1qk3w5m8t2n9g";
    /// An entry of the audit log.
    AuditId: 30 to 30 like Some("^aud_[0-9a-hjkmnp-tv-z]{25}[048cgmrw]$"), such as "aud_06crz6hq5xw7d1qk3w5m8t2n9g";
    /// A name: at most 120 characters, none of them a control character. White space around it is cut off.
    Name: 0 to _ like ONE_LINE, such as "Nova Shoes";
    /// A longer text, with line breaks. White space around it is cut off.
    Notes: 0 to 4000 like LINES, such as "Pays on the 15th.";
    /// A word to find things by; no comma or semicolon.
    Tag: 1 to 40 like Some(r"^[^,;\x00-\x1f\x7f-\x9f]*$"), such as "vip";
    /// An e-mail address; kept in lower case.
    Email: 5 to 254 like ADDRESS, such as "ada@example.com";
    /// A name for addresses: lower-case letters, digits and hyphens.
    Slug: 0 to _ like Some(r"^\s*[a-z0-9][a-z0-9-]{0,38}[a-z0-9]\s*$"), such as "orbit";
    /// The IANA name of a time zone.
    TimeZone: 1 to 64 like NOT_BLANK, such as "Europe/Warsaw";
    /// An ISO 4217 code.
    Currency: 3 to 3 like Some("^[A-Z]{3}$"), such as "EUR";
    /// A host, with a port if need be; without `https://`.
    Host: 1 to 253 like NOT_BLANK, such as "trk.example.com";
    /// An address, or a network of addresses (CIDR).
    AddressOrNetwork: 0 to _ like Some(r"^\s*[0-9A-Fa-f:.]{2,45}(/[0-9]{1,3})?\s*$"), such as "203.0.113.0/24";
    /// A domain of e-mail addresses.
    Domain: 1 to 253 like NOT_BLANK, such as "example.com";
    /// A filter by text.
    Filter: 0 to 200 like Some(r"^[^\x00-\x1f\x7f-\x9f]*$"), such as "nova";
}
