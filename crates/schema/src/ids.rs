//! Typed ids: swapping two of them does not compile, and outside each wears a prefix (`cmp_…`, `cnv_…`).
//!
//! Configuration has 31-bit numbers (a click id has room for two of them), events have time-ordered uuids.
//! The text after the prefix is lower-case Crockford base32, so ids are alphanumeric and never case-sensitive twins.

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

/// A text is not an id of the kind that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id that starts with {prefix}_")]
pub struct IdError {
    /// What ids of the expected kind start with, without the underscore.
    pub prefix: &'static str,
}

macro_rules! id {
    ($(#[$meta:meta])* $name:ident, $prefix:literal, $inner:ty, $sql:ty, $array:literal) => {
        $(#[$meta])*
        #[doc = concat!("\n\nOutside: `", $prefix, "_…`.")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, AsExpression, FromSqlRow)]
        #[diesel(sql_type = $sql)]
        pub struct $name(pub $inner);

        impl $name {
            /// What the text form starts with, without the underscore.
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
        }
    };
}

macro_rules! fresh_event_id {
    ($($name:ident),+) => {
        $(impl $name {
            /// A fresh id of an event that happened `at` this time: sorts by it, and is random beyond the millisecond.
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
    /// A network: the tenant.
    NetworkId, "net");
number_id!(
    /// A person who signs in.
    PersonId, "prs");
number_id!(
    /// What a person may do in a network.
    MembershipId, "mbr");
number_id!(
    /// Who is signed in, where sessions are listed.
    SessionId, "ses");
number_id!(
    /// A role offered to an e-mail address.
    InvitationId, "inv");
number_id!(
    /// What a program signs in with.
    ApiKeyId, "key");
number_id!(
    /// An advertiser.
    AdvertiserId, "adv");
number_id!(
    /// An affiliate.
    AffiliateId, "aff");
number_id!(
    /// Affiliates that are treated alike.
    GroupId, "grp");
number_id!(
    /// Somebody who asks to become an affiliate.
    ApplicationId, "app");
number_id!(
    /// How an advertiser's server talks to us.
    IntegrationId, "int");
number_id!(
    /// A campaign.
    CampaignId, "cmp");
number_id!(
    /// A goal of a campaign.
    GoalId, "goal");
number_id!(
    /// A tracking link.
    LinkId, "lnk");
number_id!(
    /// A further destination of a campaign.
    LandingPageId, "lp");
number_id!(
    /// How much of something a campaign wants.
    CapId, "cap");
number_id!(
    /// What a goal pays to some.
    RuleId, "rule");
number_id!(
    /// A URL that somebody has saved in the URL builder.
    UrlTemplateId, "tpl");
event_id!(
    /// The stored key of a click: the part of a click id that is unique within its network. People and advertisers
    /// see the signed click id (`tracking::ClickId`) instead.
    ClickKey, "clk");
event_id!(
    /// The receipt of an inbound postback.
    PostbackId, "pb");
event_id!(
    /// A conversion.
    ConversionId, "cnv");
event_id!(
    /// A ledger entry.
    LedgerEntryId, "led");
event_id!(
    /// An entry of an audit log.
    AuditId, "aud");
event_id!(
    /// An integration that seems to have failed.
    AlertId, "alr");
fresh_event_id!(PostbackId, ConversionId, LedgerEntryId, AuditId, AlertId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_from_its_text() {
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
    fn a_text_that_is_nearly_an_id_is_refused() {
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
    }
}
