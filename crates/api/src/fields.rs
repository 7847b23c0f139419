//! Resources with settings: one table of fields generates the view, the body that creates a resource, and the body that
//! updates one. Between JSON and settings stands a [`Draft`](tenancy::Draft), which forms and files fill in too, so one
//! check covers all of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tenancy::Draft;

use crate::extract::Integer;

/// Maximum items of a list field.
const MAX_ITEMS: usize = 1_000;

/// Value of a field, with its conversions between JSON and the text of a draft.
pub(crate) trait Field: Sized {
    /// Text for a draft, or a message for the caller.
    fn to_draft(&self) -> Result<String, String>;
    /// Value from the draft of stored settings.
    fn from_draft(text: &str) -> Self;
}

impl Field for String {
    fn to_draft(&self) -> Result<String, String> {
        Ok(self.trim().to_owned())
    }

    fn from_draft(text: &str) -> Self {
        text.to_owned()
    }
}

/// Value of an enum. Unlike text it is not trimmed, so ` active` stays invalid.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Word(String);

impl Field for Word {
    fn to_draft(&self) -> Result<String, String> {
        Ok(self.0.clone())
    }

    fn from_draft(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl Field for Integer {
    fn to_draft(&self) -> Result<String, String> {
        Ok(self.0.to_string())
    }

    #[expect(
        clippy::expect_used,
        reason = "drafts of stored settings format their numbers"
    )]
    fn from_draft(text: &str) -> Self {
        Self(text.parse().expect("a stored number is a number"))
    }
}

impl Field for bool {
    fn to_draft(&self) -> Result<String, String> {
        Ok(tenancy::yes_or_empty(*self))
    }

    fn from_draft(text: &str) -> Self {
        !text.is_empty()
    }
}

/// Null is the empty text of a draft.
impl<T: Field> Field for Option<T> {
    fn to_draft(&self) -> Result<String, String> {
        let Some(value) = self else {
            return Ok(String::new());
        };
        let text = value.to_draft()?;
        if text.is_empty() {
            Err("Send null for none.".to_owned())
        } else {
            Ok(text)
        }
    }

    fn from_draft(text: &str) -> Self {
        (!text.is_empty()).then(|| T::from_draft(text))
    }
}

impl Field for Vec<String> {
    fn to_draft(&self) -> Result<String, String> {
        let is_invalid = |item: &String| item.trim().is_empty() || item.contains([',', ';', '\n', '\r']);
        if self.len() > MAX_ITEMS || self.iter().any(is_invalid) {
            Err(format!(
                "Send at most {MAX_ITEMS} items, none of them empty or with a comma, semicolon or line break."
            ))
        } else {
            Ok(self.join(","))
        }
    }

    fn from_draft(text: &str) -> Self {
        schema::Words::typed(text).0
    }
}

impl Field for BTreeMap<String, String> {
    fn to_draft(&self) -> Result<String, String> {
        let is_invalid = |text: &String| text.trim().is_empty() || text.contains(['=', '\n', '\r']);
        let mut lines = Vec::new();
        for (name, value) in self {
            if is_invalid(name) || is_invalid(value) {
                return Err("Names and values must not be empty or contain = or line breaks.".to_owned());
            }
            lines.push(format!("{name} = {value}"));
        }
        Ok(lines.join("\n"))
    }

    fn from_draft(text: &str) -> Self {
        let pairs = text.lines().filter_map(|line| line.split_once(" = "));
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

/// Sets a field of a draft, or adds the error of its value.
pub(crate) fn set(draft: &mut Draft, field: &'static str, value: &impl Field) {
    match value.to_draft() {
        Ok(text) => draft.set(field, text),
        Err(message) => draft.errors.add(field, message),
    }
}

/// Generates the structs of a resource from one table of fields: the view, the body that creates one and, after
/// `change`, the body that updates one.
///
/// | section | view | create | update |
/// |---|---|---|---|
/// | `head` | yes | – | – |
/// | `new` | yes | required | – |
/// | `stays` | yes | optional | – |
/// | `must` | yes | required | optional |
/// | `may` | yes | optional | optional |
///
/// `where (…)` adds limits to the schema of a field in the bodies.
macro_rules! resource {
    (
        $(#[$view_meta:meta])* $view:ident;
        $(#[$new_meta:meta])* $new:ident;
        $(change $(#[$patch_meta:meta])* $patch:ident;)?
        head { $($(#[$head_meta:meta])* $head:ident: $head_type:ty as $head_schema:ty,)* }
        new { $($(#[$made_meta:meta])* $made:ident: $made_type:ty as $made_schema:ty,)* }
        $(stays { $($(#[$stay_meta:meta])* $stay:ident: $stay_type:ty as $stay_schema:ty,)* })?
        must { $($(#[$must_meta:meta])* $must:ident: $must_type:ty as $must_schema:ty,)* }
        may { $(
            $(#[$may_meta:meta])* $may:ident: $may_type:ty as $may_schema:ty $(where ($($limit:tt)+))?,
        )* }
    ) => {
        #[derive(serde::Serialize, utoipa::ToSchema)]
        $(#[$view_meta])*
        pub(crate) struct $view {
            $($(#[$head_meta])* #[schema(required, value_type = $head_schema)] $head: $head_type,)*
            $($(#[$made_meta])* #[schema(required, value_type = $made_schema)] $made: $made_type,)*
            $($($(#[$stay_meta])* #[schema(required, value_type = $stay_schema)] $stay: $stay_type,)*)?
            $($(#[$must_meta])* #[schema(required, value_type = $must_schema)] $must: $must_type,)*
            $($(#[$may_meta])* #[schema(required, value_type = $may_schema)] $may: $may_type,)*
        }

        impl $view {
            #[expect(clippy::too_many_arguments, reason = "one per field of the table")]
            #[allow(clippy::allow_attributes, unfulfilled_lint_expectations, reason = "not in every table")]
            fn from_draft($($head: $head_type,)* $($made: $made_type,)* draft: &tenancy::Draft) -> Self {
                Self {
                    $($head,)*
                    $($made,)*
                    $($($stay: $crate::fields::Field::from_draft(draft.of(stringify!($stay))),)*)?
                    $($must: $crate::fields::Field::from_draft(draft.of(stringify!($must))),)*
                    $($may: $crate::fields::Field::from_draft(draft.of(stringify!($may))),)*
                }
            }
        }

        impl $crate::idempotency::Created for $view {}

        #[derive(serde::Deserialize, utoipa::ToSchema)]
        $(#[$new_meta])*
        #[serde(deny_unknown_fields)]
        pub(crate) struct $new {
            $($(#[$made_meta])* #[schema(value_type = $made_schema)] $made: $made_type,)*
            $($(
                $(#[$stay_meta])*
                #[serde(default, deserialize_with = "crate::extract::present")]
                #[schema(value_type = $stay_schema, required = false)]
                $stay: Option<$stay_type>,
            )*)?
            $($(#[$must_meta])* #[schema(value_type = $must_schema)] $must: $must_type,)*
            $(
                $(#[$may_meta])*
                #[serde(default, deserialize_with = "crate::extract::present")]
                #[schema(value_type = $may_schema, required = false $(, $($limit)+)?)]
                $may: Option<$may_type>,
            )*
        }

        impl $new {
            /// The draft with the fields of the body.
            fn over(&self, mut draft: tenancy::Draft) -> tenancy::Draft {
                $($(if let Some(value) = &self.$stay {
                    $crate::fields::set(&mut draft, stringify!($stay), value);
                })*)?
                $($crate::fields::set(&mut draft, stringify!($must), &self.$must);)*
                $(if let Some(value) = &self.$may {
                    $crate::fields::set(&mut draft, stringify!($may), value);
                })*
                draft
            }
        }

        $crate::fields::resource! {
            @change [$($(#[$patch_meta])* $patch)?]
            $($(#[$must_meta])* $must: $must_type as $must_schema,)*
            $($(#[$may_meta])* $may: $may_type as $may_schema $(where ($($limit)+))?,)*
        }
    };
    (@change [] $($any:tt)*) => {};
    (@change [$(#[$patch_meta:meta])* $patch:ident]
        $($(#[$field_meta:meta])* $field:ident: $type:ty as $schema:ty $(where ($($limit:tt)+))?,)*
    ) => {
        #[derive(serde::Deserialize, utoipa::ToSchema)]
        $(#[$patch_meta])*
        #[serde(deny_unknown_fields)]
        pub(crate) struct $patch {
            $(
                $(#[$field_meta])*
                #[serde(default, deserialize_with = "crate::extract::present")]
                #[schema(value_type = $schema, required = false $(, $($limit)+)?)]
                $field: Option<$type>,
            )*
        }

        impl $patch {
            /// The draft with the fields of the body.
            pub(super) fn over(&self, mut draft: tenancy::Draft) -> tenancy::Draft {
                $(if let Some(value) = &self.$field {
                    $crate::fields::set(&mut draft, stringify!($field), value);
                })*
                draft
            }
        }
    };
}
pub(crate) use resource;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_survives_the_way_through_a_draft() {
        fn back<T: Field + PartialEq + std::fmt::Debug>(value: &T) {
            assert_eq!(T::from_draft(&value.to_draft().unwrap()), *value);
        }
        back(&"Nova".to_owned());
        back(&Some("Nova".to_owned()));
        back(&None::<String>);
        back(&Some(Integer(7)));
        back(&true);
        back(&false);
        back(&vec!["a b".to_owned(), "c".to_owned()]);
        back(&Vec::<String>::new());
        back(&BTreeMap::from([("ok".to_owned(), "approved".to_owned())]));
    }

    #[test]
    fn an_ambiguous_value_is_refused() {
        assert!(
            Some(" ".to_owned()).to_draft().is_err(),
            "none must be sent as null"
        );
        for odd in ["", " ", "a,b", "a;b", "a\nb"] {
            assert!(vec![odd.to_owned()].to_draft().is_err(), "{odd:?}");
        }
        for odd in ["", "a=b", "a\nb"] {
            let as_name = BTreeMap::from([(odd.to_owned(), "x".to_owned())]);
            let as_value = BTreeMap::from([("x".to_owned(), odd.to_owned())]);
            assert!(
                as_name.to_draft().is_err() && as_value.to_draft().is_err(),
                "{odd:?}"
            );
        }
    }

    #[test]
    fn text_is_trimmed_and_a_word_is_not() {
        assert_eq!(" Nova ".to_owned().to_draft().unwrap(), "Nova");
        assert_eq!(Word(" active".to_owned()).to_draft().unwrap(), " active");
    }
}
