//! Resources that are set field by field: one table makes what is answered, what creates one and what changes one. In
//! between stands a [`Draft`](tenancy::Draft), which pages and files fill in too, so that all of them are checked alike.

use std::collections::BTreeMap;

use crate::extract::Whole;

/// Most items of a list that is one field.
const MOST_ITEMS: usize = 1_000;

/// A value of a field, as JSON has it and as a draft has it.
pub(crate) trait Field: Sized {
    /// As a draft says it.
    fn said(&self) -> Result<String, String>;
    /// What a draft of something stored says.
    fn of(text: &str) -> Self;
}

impl Field for String {
    fn said(&self) -> Result<String, String> {
        Ok(self.trim().to_owned())
    }

    fn of(text: &str) -> Self {
        text.to_owned()
    }
}

impl Field for Whole {
    fn said(&self) -> Result<String, String> {
        Ok(self.0.to_string())
    }

    fn of(text: &str) -> Self {
        Self(text.parse().unwrap_or_default())
    }
}

impl Field for bool {
    fn said(&self) -> Result<String, String> {
        Ok(tenancy::yes_or_empty(*self))
    }

    fn of(text: &str) -> Self {
        !text.is_empty()
    }
}

/// Null for none.
impl<T: Field> Field for Option<T> {
    fn said(&self) -> Result<String, String> {
        let Some(value) = self else {
            return Ok(String::new());
        };
        let said = value.said()?;
        match said.is_empty() {
            true => Err("Send null for none.".to_owned()),
            false => Ok(said),
        }
    }

    fn of(text: &str) -> Self {
        (!text.is_empty()).then(|| T::of(text))
    }
}

impl Field for Vec<String> {
    fn said(&self) -> Result<String, String> {
        let odd = |item: &String| item.trim().is_empty() || item.contains([',', ';', '\n', '\r']);
        match self.len() > MOST_ITEMS || self.iter().any(odd) {
            true => Err(format!(
                "Send at most {MOST_ITEMS} items, none of them empty or with a comma, semicolon or line break in it."
            )),
            false => Ok(self.join(",")),
        }
    }

    fn of(text: &str) -> Self {
        schema::Words::typed(text).0
    }
}

impl Field for BTreeMap<String, String> {
    fn said(&self) -> Result<String, String> {
        let odd = |text: &String| text.trim().is_empty() || text.contains(['=', '\n', '\r']);
        let mut lines = Vec::new();
        for (name, value) in self {
            if odd(name) || odd(value) {
                return Err(
                    "Send names and values without = and line breaks, none of them empty.".to_owned(),
                );
            }
            lines.push(format!("{name} = {value}"));
        }
        Ok(lines.join("\n"))
    }

    fn of(text: &str) -> Self {
        let pairs = text.lines().filter_map(|line| line.split_once(" = "));
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

/// Notes a field in a draft, or what is wrong with it.
pub(crate) fn say(draft: &mut tenancy::Draft, field: &'static str, value: &impl Field) {
    match value.said() {
        Ok(text) => draft.set(field, text),
        Err(message) => draft.errors.add(field, message),
    }
}

/// The structs of a resource from one table: what is answered, what makes one, and, behind `change`, what changes one.
/// `head` is only answered; `new` is said when one is made and stays, `stays` need not be said then; of the others, `must`
/// has to be said when one is made and `may` need not be. A change says any of those two.
macro_rules! resource {
    (
        $(#[$view_meta:meta])* $view:ident;
        $(#[$new_meta:meta])* $new:ident;
        $(change $(#[$patch_meta:meta])* $patch:ident;)?
        head { $($(#[$head_meta:meta])* $head:ident: $head_type:ty as $head_schema:ty,)* }
        new { $($(#[$made_meta:meta])* $made:ident: $made_type:ty as $made_schema:ty,)* }
        $(stays { $($(#[$stay_meta:meta])* $stay:ident: $stay_type:ty as $stay_schema:ty,)* })?
        must { $($(#[$must_meta:meta])* $must:ident: $must_type:ty as $must_schema:ty,)* }
        may { $($(#[$may_meta:meta])* $may:ident: $may_type:ty as $may_schema:ty,)* }
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
            #[expect(clippy::too_many_arguments, reason = "one per field, and only what the table names")]
            #[allow(clippy::allow_attributes, unfulfilled_lint_expectations, reason = "not in every table")]
            fn of($($head: $head_type,)* $($made: $made_type,)* draft: &tenancy::Draft) -> Self {
                Self {
                    $($head,)*
                    $($made,)*
                    $($($stay: $crate::fields::Field::of(draft.of(stringify!($stay))),)*)?
                    $($must: $crate::fields::Field::of(draft.of(stringify!($must))),)*
                    $($may: $crate::fields::Field::of(draft.of(stringify!($may))),)*
                }
            }
        }

        impl $crate::once::Created for $view {}

        #[derive(serde::Deserialize, utoipa::ToSchema)]
        $(#[$new_meta])*
        #[serde(deny_unknown_fields)]
        pub(crate) struct $new {
            $($(#[$made_meta])* #[schema(value_type = $made_schema)] $made: $made_type,)*
            $($(
                $(#[$stay_meta])*
                #[serde(default, deserialize_with = "given")]
                #[schema(value_type = $stay_schema, required = false)]
                $stay: Option<$stay_type>,
            )*)?
            $($(#[$must_meta])* #[schema(value_type = $must_schema)] $must: $must_type,)*
            $(
                $(#[$may_meta])*
                #[serde(default, deserialize_with = "given")]
                #[schema(value_type = $may_schema, required = false)]
                $may: Option<$may_type>,
            )*
        }

        impl $new {
            /// What it says, over what is so where nothing is said.
            fn over(&self, mut draft: tenancy::Draft) -> tenancy::Draft {
                $($(if let Some(value) = &self.$stay {
                    $crate::fields::say(&mut draft, stringify!($stay), value);
                })*)?
                $($crate::fields::say(&mut draft, stringify!($must), &self.$must);)*
                $(if let Some(value) = &self.$may {
                    $crate::fields::say(&mut draft, stringify!($may), value);
                })*
                draft
            }
        }

        $crate::fields::resource! {
            @change [$($(#[$patch_meta])* $patch)?]
            $($(#[$must_meta])* $must: $must_type as $must_schema,)*
            $($(#[$may_meta])* $may: $may_type as $may_schema,)*
        }
    };
    (@change [] $($any:tt)*) => {};
    (@change [$(#[$patch_meta:meta])* $patch:ident]
        $($(#[$field_meta:meta])* $field:ident: $type:ty as $schema:ty,)*
    ) => {
        #[derive(serde::Deserialize, utoipa::ToSchema)]
        $(#[$patch_meta])*
        #[serde(deny_unknown_fields)]
        pub(crate) struct $patch {
            $(
                $(#[$field_meta])*
                #[serde(default, deserialize_with = "given")]
                #[schema(value_type = $schema, required = false)]
                $field: Option<$type>,
            )*
        }

        impl $patch {
            /// What it says, over what is so.
            pub(super) fn over(&self, mut draft: tenancy::Draft) -> tenancy::Draft {
                $(if let Some(value) = &self.$field {
                    $crate::fields::say(&mut draft, stringify!($field), value);
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
    fn what_is_said_is_read_back() {
        fn back<T: Field + PartialEq + std::fmt::Debug>(value: &T) {
            assert_eq!(T::of(&value.said().unwrap()), *value);
        }
        back(&"Nova".to_owned());
        back(&Some("Nova".to_owned()));
        back(&None::<String>);
        back(&Some(Whole(7)));
        back(&true);
        back(&false);
        back(&vec!["a b".to_owned(), "c".to_owned()]);
        back(&Vec::<String>::new());
        back(&BTreeMap::from([("ok".to_owned(), "approved".to_owned())]));
    }

    #[test]
    fn what_would_be_read_as_something_else_is_refused() {
        assert!(Some(" ".to_owned()).said().is_err(), "none is said with null");
        for odd in ["", " ", "a,b", "a;b", "a\nb"] {
            assert!(vec![odd.to_owned()].said().is_err(), "{odd:?}");
        }
        for odd in ["", "a=b", "a\nb"] {
            assert!(
                BTreeMap::from([(odd.to_owned(), "x".to_owned())]).said().is_err(),
                "{odd:?}"
            );
            assert!(
                BTreeMap::from([("x".to_owned(), odd.to_owned())]).said().is_err(),
                "{odd:?}"
            );
        }
    }
}
