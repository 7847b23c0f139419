//! Lists of texts in one column: tags, domains, questions.

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::{Array, Nullable, Text};
use serde::{Deserialize, Serialize};

/// Value of a `text[]` column without NULL elements. The generated type allows NULL elements, but none is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, AsExpression, FromSqlRow, Serialize, Deserialize)]
#[diesel(sql_type = Array<Nullable<Text>>)]
#[serde(transparent)]
pub struct Words(pub Vec<String>);

impl Words {
    /// Splits the input of a user at commas and line breaks; trims each word, drops empty words and duplicates.
    #[must_use]
    pub fn typed(text: &str) -> Self {
        let mut words: Vec<String> = Vec::new();
        for word in text.split([',', '\n']).map(str::trim) {
            if !word.is_empty() && !words.iter().any(|known| known == word) {
                words.push(word.to_owned());
            }
        }
        Self(words)
    }

    /// Returns the words on one line, separated by commas, for a field or a cell.
    #[must_use]
    pub fn on_one_line(&self) -> String {
        self.0.join(", ")
    }

    /// Returns the words on a line each.
    #[must_use]
    pub fn on_lines(&self) -> String {
        self.0.join("\n")
    }
}

impl ToSql<Array<Nullable<Text>>, Pg> for Words {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        <Vec<String> as ToSql<Array<Text>, Pg>>::to_sql(&self.0, &mut out.reborrow())
    }
}

impl FromSql<Array<Nullable<Text>>, Pg> for Words {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        let words = <Vec<Option<String>> as FromSql<Array<Nullable<Text>>, Pg>>::from_sql(value)?;
        Ok(Self(words.into_iter().flatten().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::Words;

    #[test]
    fn input_is_split_at_commas_and_line_breaks() {
        let words = Words::typed(" a, b c\n,\nb c,d ");
        assert_eq!(words.0, ["a", "b c", "d"]);
        assert_eq!(words.on_one_line(), "a, b c, d");
        assert_eq!(Words::typed(" ,\n"), Words::default());
    }
}
