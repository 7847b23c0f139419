//! Enums stored as `text` with a CHECK, and written as the same word in JSON and URLs.

/// Defines an enum whose variants are words in the database, in JSON and in URLs.
///
/// ```
/// schema::text_enum! {
///     /// Status of a campaign.
///     pub enum Status { Live = "live", Paused = "paused" }
/// }
/// assert_eq!(Status::Live.as_str(), "live");
/// assert_eq!("paused".parse(), Ok(Status::Paused));
/// assert!("stopped".parse::<Status>().is_err());
/// ```
#[macro_export]
macro_rules! text_enum {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord,
            $crate::macro_support::diesel::expression::AsExpression,
            $crate::macro_support::diesel::deserialize::FromSqlRow,
        )]
        #[diesel(sql_type = $crate::macro_support::diesel::sql_types::Text)]
        pub enum $name {
            $(#[doc = concat!("`", $word, "`")] $(#[$variant_meta])* $variant),+
        }

        impl $name {
            /// All variants in the order of their definition.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the word of the variant in the database, in JSON and in URLs.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = String;

            fn from_str(word: &str) -> ::std::result::Result<Self, Self::Err> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(format!("“{word}” is not one of {}", [$($word),+].join(", "))),
                }
            }
        }

        const _: () = {
            use $crate::macro_support::serde::{Deserialize, Deserializer, Serialize, Serializer, de};

            impl Serialize for $name {
                fn serialize<S: Serializer>(&self, serializer: S) -> ::std::result::Result<S::Ok, S::Error> {
                    serializer.serialize_str(self.as_str())
                }
            }

            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> ::std::result::Result<Self, D::Error> {
                    let word = ::std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                    word.parse().map_err(de::Error::custom)
                }
            }
        };

        const _: () = {
            use $crate::macro_support::diesel::{deserialize, pg, serialize, sql_types};

            impl serialize::ToSql<sql_types::Text, pg::Pg> for $name {
                fn to_sql<'b>(&'b self, out: &mut serialize::Output<'b, '_, pg::Pg>) -> serialize::Result {
                    <str as serialize::ToSql<sql_types::Text, pg::Pg>>::to_sql(self.as_str(), out)
                }
            }

            impl deserialize::FromSql<sql_types::Text, pg::Pg> for $name {
                fn from_sql(value: pg::PgValue<'_>) -> deserialize::Result<Self> {
                    let word = <String as deserialize::FromSql<sql_types::Text, pg::Pg>>::from_sql(value)?;
                    Ok(word.parse()?)
                }
            }

            $crate::delegate_sql!(
                $name,
                &str,
                |value| value.as_str(),
                |word: &str| word.parse::<$name>()
            );
            $crate::column_type!($name, "text[]", sql_types::Text);
        };
    };
}

/// Lets a type travel to and from Postgres as another one, also outside diesel.
#[doc(hidden)]
#[macro_export]
macro_rules! delegate_sql {
    ($name:ty, $inner:ty, |$value:ident| $write:expr, $read:expr) => {
        const _: () = {
            use $crate::macro_support::tokio_postgres::types::private::BytesMut;
            use $crate::macro_support::tokio_postgres::types::{
                FromSql, IsNull, ToSql, Type, to_sql_checked,
            };

            type Fault = Box<dyn ::std::error::Error + Sync + Send>;

            impl ToSql for $name {
                fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Fault> {
                    let $value = self;
                    ToSql::to_sql(&$write, kind, out)
                }

                fn accepts(kind: &Type) -> bool {
                    <$inner as ToSql>::accepts(kind)
                }

                to_sql_checked!();
            }

            impl<'a> FromSql<'a> for $name {
                fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Fault> {
                    let read = $read;
                    Ok(read(FromSql::from_sql(kind, raw)?)?)
                }

                fn accepts(kind: &Type) -> bool {
                    <$inner as FromSql<'_>>::accepts(kind)
                }
            }
        };
    };
}
