//! Words of a receiver: which value of a macro it calls what.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use dialects::template::Macro;
use serde_json::{Value, json};

/// Most words of a destination.
const MAX_WORDS: usize = 50;
/// Longest value or word, in bytes.
const MAX_LENGTH: usize = 100;

/// Words by macro and value. As text, a line for each: `status approved = sale`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ValueMaps(BTreeMap<Macro, BTreeMap<String, String>>);

impl ValueMaps {
    /// Word of the receiver for a value, or the value itself.
    #[must_use]
    pub fn word(&self, one: Macro, value: String) -> String {
        let word = self.0.get(&one).and_then(|words| words.get(&value));
        word.cloned().unwrap_or(value)
    }

    fn lines(&self) -> impl Iterator<Item = (Macro, &String, &String)> {
        self.0
            .iter()
            .flat_map(|(one, words)| words.iter().map(|(value, word)| (*one, value, word)))
    }

    /// JSON form, by name of the macro.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let by_name = self
            .0
            .iter()
            .map(|(one, words)| (one.name().to_owned(), json!(words)));
        Value::Object(by_name.collect())
    }

    /// Reads the JSON form; what it does not understand is left out.
    #[must_use]
    pub fn of_json(value: &Value) -> Self {
        let mut maps = Self::default();
        for (name, words) in value.as_object().into_iter().flatten() {
            let Some(one) = Macro::of_name(name) else { continue };
            for (value, word) in words.as_object().into_iter().flatten() {
                if let Some(word) = word.as_str() {
                    maps.0
                        .entry(one)
                        .or_default()
                        .insert(value.clone(), word.to_owned());
                }
            }
        }
        maps
    }
}

impl fmt::Display for ValueMaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (one, value, word)) in self.lines().enumerate() {
            let separator = if number == 0 { "" } else { "\n" };
            write!(f, "{separator}{} {value} = {word}", one.name())?;
        }
        Ok(())
    }
}

impl FromStr for ValueMaps {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut maps = Self::default();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        for (number, line) in lines.enumerate() {
            if number >= MAX_WORDS {
                return Err(format!("Enter at most {MAX_WORDS} lines."));
            }
            let (left, word) = line
                .split_once('=')
                .ok_or_else(|| format!("“{line}” has no =. Write a line such as: status approved = sale"))?;
            let (name, value) = left.trim().split_once(char::is_whitespace).ok_or_else(|| {
                format!("“{line}” names no value. Write a line such as: status approved = sale")
            })?;
            let name = name.trim_matches(['{', '}']);
            let one = Macro::of_name(name).ok_or_else(|| format!("{{{name}}} is not a macro."))?;
            let (value, word) = (value.trim(), word.trim());
            if value.len() > MAX_LENGTH || word.len() > MAX_LENGTH {
                return Err(format!("“{line}” is longer than {MAX_LENGTH} bytes on one side."));
            }
            maps.0
                .entry(one)
                .or_default()
                .insert(value.to_owned(), word.to_owned());
        }
        Ok(maps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_from_lines_and_from_json() {
        let maps: ValueMaps = "status approved = sale\n\n{status} pending=lead\ncurrency EUR = eur"
            .parse()
            .unwrap();
        assert_eq!(maps.word(Macro::Status, "approved".to_owned()), "sale");
        assert_eq!(maps.word(Macro::Status, "rejected".to_owned()), "rejected");
        assert_eq!(
            maps.to_string(),
            "currency EUR = eur\nstatus approved = sale\nstatus pending = lead"
        );
        assert_eq!(ValueMaps::of_json(&maps.to_json()), maps);
        assert_eq!(maps.to_string().parse(), Ok(maps));
    }

    #[test]
    fn a_wrong_line_is_named() {
        for (text, problem) in [
            (
                "status approved",
                "“status approved” has no =. Write a line such as: status approved = sale",
            ),
            (
                "status = sale",
                "“status = sale” names no value. Write a line such as: status approved = sale",
            ),
            ("colour red = blue", "{colour} is not a macro."),
        ] {
            assert_eq!(text.parse::<ValueMaps>(), Err(problem.to_owned()));
        }
    }
}
