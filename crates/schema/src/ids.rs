//! Typed ids: swapping two of them does not compile. As text, each has a prefix (`cmp_…`, `cnv_…`).
//!
//! Configuration has 31-bit numbers (a click ID has room for two of them), events have time-ordered uuids.
//! The text after the prefix is lower-case Crockford base32: alphanumeric, and no two ids differ in letter case only.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use data_encoding::{Encoding, Specification};
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::{Integer, Uuid as SqlUuid};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// Lower-case Crockford base32 (no i, l, o, u), strict: no padding, no other letter case, no spare bits set.
pub static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str("0123456789abcdefghjkmnpqrstvwxyz");
    #[expect(
        clippy::expect_used,
        reason = "a constant alphabet of 32 distinct symbols is valid"
    )]
    specification.encoding().expect("32 symbols")
});

/// A text is not an id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id that starts with {prefix}_")]
pub struct IdError {
    /// Prefix of the expected kind, without the underscore.
    pub prefix: &'static str,
}

macro_rules! id {
    ($(#[$meta:meta])* $name:ident, $prefix:literal, $inner:ty, $sql:ty, $array:literal) => {
        $(#[$meta])*
        #[doc = concat!("\n\nText form: `", $prefix, "_…`.")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, AsExpression, FromSqlRow)]
        #[diesel(sql_type = $sql)]
        pub struct $name(pub $inner);

        impl $name {
            /// Prefix of the text form, without the underscore.
            pub const PREFIX: &'static str = $prefix;
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}_{}", Self::PREFIX, BASE32.encode(&self.bytes()))
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix(Self::PREFIX)
                    .and_then(|rest| rest.strip_prefix('_'))
                    .and_then(|rest| BASE32.decode(rest.as_bytes()).ok())
                    .and_then(|bytes| Self::from_bytes(&bytes))
                    .ok_or(IdError { prefix: Self::PREFIX })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }

        impl ToSql<$sql, Pg> for $name {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
                <$inner as ToSql<$sql, Pg>>::to_sql(&self.0, out)
            }
        }

        impl FromSql<$sql, Pg> for $name {
            fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
                <$inner as FromSql<$sql, Pg>>::from_sql(value).map(Self)
            }
        }

        crate::delegate_sql!($name, $inner, |id| &id.0, |value: $inner| Ok::<_, std::convert::Infallible>($name(value)));
        crate::column_type!($name, $array, $sql);
    };
}

macro_rules! number_id {
    ($(#[$meta:meta])* $name:ident, $prefix:literal) => {
        id!($(#[$meta])* $name, $prefix, i32, Integer, "int4[]");

        impl $name {
            fn bytes(self) -> [u8; 4] {
                self.0.to_be_bytes()
            }

            fn from_bytes(bytes: &[u8]) -> Option<Self> {
                let number = i32::from_be_bytes(bytes.try_into().ok()?);
                (number > 0).then_some(Self(number))
            }
        }
    };
}

macro_rules! event_id {
    ($(#[$meta:meta])* $name:ident, $prefix:literal) => {
        id!($(#[$meta])* $name, $prefix, Uuid, SqlUuid, "uuid[]");

        impl $name {
            fn bytes(self) -> [u8; 16] {
                self.0.into_bytes()
            }

            fn from_bytes(bytes: &[u8]) -> Option<Self> {
                Uuid::from_slice(bytes).ok().map(Self)
            }

            /// Lowest id of an event at this time, to the millisecond: for ranges of time by the primary key.
            #[must_use]
            pub fn lowest(at: DateTime<Utc>) -> Self {
                let millis = u128::try_from(at.timestamp_millis()).unwrap_or(0);
                Self(Uuid::from_u128(millis << 80))
            }
        }
    };
}

macro_rules! fresh_event_id {
    ($($name:ident),+) => {
        $(impl $name {
            /// Returns a new id for an event at this time: sorts by the time, and is random below the millisecond.
            #[must_use]
            pub fn fresh(at: DateTime<Utc>) -> Self {
                let seconds = u64::try_from(at.timestamp()).unwrap_or(0);
                let time = uuid::Timestamp::from_unix(uuid::NoContext, seconds, at.timestamp_subsec_nanos());
                Self(Uuid::new_v7(time))
            }
        })+
    };
}

number_id!(
    /// Id of a network, the tenant.
    NetworkId, "net");
number_id!(
    /// Id of a person.
    PersonId, "prs");
number_id!(
    /// Id of a membership: a role of a person in a network.
    MembershipId, "mbr");
number_id!(
    /// Id of a session, for lists of sessions.
    SessionId, "ses");
number_id!(
    /// Id of an invitation.
    InvitationId, "inv");
number_id!(
    /// Id of an API key.
    ApiKeyId, "key");
number_id!(
    /// Id of an advertiser.
    AdvertiserId, "adv");
number_id!(
    /// Id of an affiliate.
    AffiliateId, "aff");
number_id!(
    /// Id of a group of affiliates.
    GroupId, "grp");
number_id!(
    /// Id of an application to become an affiliate.
    ApplicationId, "app");
number_id!(
    /// Id of an integration of an advertiser or a campaign.
    IntegrationId, "int");
number_id!(
    /// Id of a campaign.
    CampaignId, "cmp");
number_id!(
    /// Id of a goal of a campaign.
    GoalId, "goal");
number_id!(
    /// Id of a tracking link.
    LinkId, "lnk");
number_id!(
    /// Id of a landing page of a campaign.
    LandingPageId, "lp");
number_id!(
    /// Id of a cap of a campaign.
    CapId, "cap");
number_id!(
    /// Id of a commission rule, shared by all its versions.
    RuleId, "rule");
number_id!(
    /// Id of a URL template.
    UrlTemplateId, "tpl");
number_id!(
    /// Id of a saved view of a report.
    SavedReportId, "view");
number_id!(
    /// Id of a report that is mailed at regular times.
    ReportMailId, "rml");
number_id!(
    /// Id of a share link of a report.
    ReportLinkId, "shr");
number_id!(
    /// Id of a file of a report.
    ReportFileId, "rfl");
number_id!(
    /// Id of a destination of deliveries.
    DestinationId, "dst");
event_id!(
    /// Id of a delivery, the same in every attempt.
    DeliveryId, "dlv");
event_id!(
    /// Id of an event of a network that is about no conversion.
    NetworkEventId, "evt");
event_id!(
    /// Stored key of a click: the part of a click ID that is unique within its network. Users and advertisers see the
    /// signed click ID (`tracking::ClickId`) instead.
    ClickKey, "clk");
event_id!(
    /// Id of a postback, its receipt.
    PostbackId, "pb");
event_id!(
    /// Id of a conversion.
    ConversionId, "cnv");
event_id!(
    /// Id of a ledger entry.
    LedgerEntryId, "led");
event_id!(
    /// Id of a correction that waits for a second user.
    WaitingCorrectionId, "wai");
event_id!(
    /// Id of an entry of the audit log.
    AuditId, "aud");
event_id!(
    /// Id of an alert about an integration.
    AlertId, "alr");
fresh_event_id!(
    PostbackId,
    ConversionId,
    LedgerEntryId,
    WaitingCorrectionId,
    AuditId,
    AlertId,
    DeliveryId,
    NetworkEventId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_parsed_back_from_its_text() {
        assert_eq!(
            CampaignId(1_580_030_173).to_string().parse(),
            Ok(CampaignId(1_580_030_173))
        );
        let id = ConversionId::fresh(DateTime::UNIX_EPOCH);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().len(), "cnv_".len() + 26);
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let campaign = CampaignId(7).to_string();
        assert_eq!(campaign.parse::<GoalId>(), Err(IdError { prefix: "goal" }));
    }

    #[test]
    fn a_malformed_id_is_refused() {
        for text in [
            "",
            "cmp_",
            "cmp",
            "cmp_0000000",
            "cmp_zzzzzzz",
            "CMP_0000010",
            "cmp_0000o10",
            "cmp_00000010",
        ] {
            assert!(text.parse::<CampaignId>().is_err(), "{text}");
        }
    }

    #[test]
    fn event_ids_sort_by_time() {
        let early = PostbackId::fresh(DateTime::from_timestamp_millis(1_000).unwrap());
        let late = PostbackId::fresh(DateTime::from_timestamp_millis(1_001).unwrap());
        assert!(early < late && early.to_string() < late.to_string());
        let at = |millis: i64| PostbackId::lowest(DateTime::from_timestamp_millis(millis).unwrap());
        assert!(at(1_000) <= early && early < at(1_001) && at(1_001) <= late);
    }
}
