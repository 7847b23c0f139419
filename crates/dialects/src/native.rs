//! Our own spelling: `/postback` with `click_id`, `goal`, `order_id`, `amount`, `currency`, `token`, as query, form
//! or JSON. Every further parameter is kept.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::{Amount, Answer, Postback, Problem, RawCall, decode_pairs};

/// Longest click id, goal, order id, currency or token taken, in bytes.
const FIELD_LIMIT: usize = 256;
/// Longest other value taken, in bytes.
const EXTRA_LIMIT: usize = 2048;
/// Most parameters taken.
const PARAMETER_LIMIT: usize = 100;

/// Reads a call in our own spelling. Parameters may stand in the query, in the body, or some here and some there.
///
/// What can be read is read, also beside a problem: so a rejected call still says whose it was and about which click.
/// The problem is the first in reading order; a call with one must not be acted on.
#[must_use]
pub fn parse(call: RawCall<'_>) -> (Postback, Option<Problem>) {
    let mut reading = Reading::default();
    for parameter in decode_pairs(call.query) {
        reading.take(parameter);
    }
    for parameter in body_parameters(call.content_type, call.body) {
        reading.take(parameter);
    }
    (reading.postback, reading.problem)
}

/// A call that is being read.
#[derive(Default)]
struct Reading {
    postback: Postback,
    problem: Option<Problem>,
    seen: HashSet<String>,
}

impl Reading {
    /// Takes the next parameter in, or notes what is wrong with it.
    fn take(&mut self, parameter: Result<(String, String), Problem>) {
        let taken = parameter.and_then(|(name, value)| {
            if self.seen.len() == PARAMETER_LIMIT {
                return Err(Problem::TooMany {
                    limit: PARAMETER_LIMIT,
                });
            }
            if !self.seen.insert(name.clone()) {
                return Err(Problem::Repeated { parameter: name });
            }
            self.set(name, value)
        });
        if let Err(problem) = taken {
            self.problem.get_or_insert(problem);
        }
    }

    fn set(&mut self, name: String, value: String) -> Result<(), Problem> {
        let postback = &mut self.postback;
        let mut amount = None;
        let field = match name.as_str() {
            "click_id" => &mut postback.click_id,
            "goal" => &mut postback.goal,
            "order_id" => &mut postback.order_id,
            "amount" => &mut amount,
            "currency" => &mut postback.currency,
            "token" => &mut postback.token,
            _ => {
                within(EXTRA_LIMIT, &name, &value)?;
                postback.extra.push((name, value));
                return Ok(());
            }
        };
        within(FIELD_LIMIT, &name, &value)?;
        if is_placeholder(&value) {
            return Err(Problem::MacroUnreplaced {
                parameter: name,
                value,
            });
        }
        *field = Some(value).filter(|value| !value.is_empty());
        if let Some(text) = amount {
            let read = Amount::parse(&text).map_err(|problem| Problem::Amount { text, problem })?;
            postback.amount = Some(read);
        }
        Ok(())
    }
}

/// The body of the answer: JSON, or one line for a caller that asked for plain text.
#[must_use]
pub fn render(answer: &Answer, plain_text: bool) -> String {
    if plain_text {
        let id = answer.conversion_id.as_deref().unwrap_or(&answer.request_id);
        return format!("{} {} {id}: {}\n", answer.status, answer.reason, answer.message);
    }
    // An Answer holds strings and numbers only; serialising those cannot fail.
    serde_json::to_string(answer).unwrap_or_default()
}

/// Whether a value is a template's placeholder, in any of the delimiters that trackers use.
#[must_use]
pub fn is_placeholder(value: &str) -> bool {
    const DELIMITERS: [(&str, &str); 7] = [
        ("{", "}"),
        ("[", "]"),
        ("<", ">"),
        ("#", "#"),
        ("%", "%"),
        ("$", "$"),
        ("${", "}"),
    ];
    let delimited = DELIMITERS.iter().any(|(open, close)| {
        value
            .strip_prefix(open)
            .and_then(|rest| rest.strip_suffix(close))
            .is_some_and(|name| !name.is_empty())
    });
    delimited || value == "REPLACE"
}

fn within(limit: usize, parameter: &str, value: &str) -> Result<(), Problem> {
    match value.len() {
        length if length > limit => Err(Problem::TooLong {
            parameter: parameter.to_owned(),
            length,
            limit,
        }),
        _ => Ok(()),
    }
}

fn body_parameters(content_type: Option<&str>, body: &[u8]) -> Vec<Result<(String, String), Problem>> {
    if body.is_empty() {
        return Vec::new();
    }
    let unreadable = |detail| vec![Err(Problem::Body { detail })];
    let media_type = content_type
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        Err(broken) => return unreadable(format!("it is not UTF-8 at byte {}", broken.valid_up_to())),
    };
    if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        decode_pairs(text).collect()
    } else if media_type.eq_ignore_ascii_case("application/json") {
        match serde_json::from_str(text) {
            Ok(JsonObject(members)) => members.into_iter().filter_map(json_parameter).collect(),
            Err(error) if error.is_data() => unreadable("it is JSON, but not one flat object".to_owned()),
            Err(error) => unreadable(format!("it stops being JSON at {}", place(&error))),
        }
    } else {
        let named = if media_type.is_empty() {
            "missing"
        } else {
            media_type
        };
        unreadable(format!("its Content-Type is {named}"))
    }
}

/// A member of a JSON object as text: a string unquoted, everything else exactly as written, so that the amount
/// `12.10` is not first made a float. `null` counts as not sent.
fn json_parameter((name, value): (String, &RawValue)) -> Option<Result<(String, String), Problem>> {
    if name.contains('\0') {
        return Some(Err(Problem::Nul {
            parameter: name.replace('\0', ""),
        }));
    }
    let text = match value.get() {
        "null" => return None,
        quoted if quoted.starts_with('"') => match serde_json::from_str::<String>(quoted) {
            Ok(text) => text,
            Err(error) => {
                let detail = format!("the text of its member {name} breaks at {}", place(&error));
                return Some(Err(Problem::Body { detail }));
            }
        },
        plain => plain.to_owned(),
    };
    if text.contains('\0') {
        return Some(Err(Problem::Nul { parameter: name }));
    }
    Some(Ok((name, text)))
}

/// Where JSON stopped being readable. Not the parser's own words: they can quote the body, secrets and all.
fn place(error: &serde_json::Error) -> String {
    format!("line {} column {}", error.line(), error.column())
}

/// A JSON object with its members in order, twins included (a map would silently drop one of two amounts).
struct JsonObject<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for JsonObject<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = JsonObject<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry::<String, &'de RawValue>()? {
                    // One too many is enough to say so.
                    if members.len() <= PARAMETER_LIMIT {
                        members.push(member);
                    }
                }
                Ok(JsonObject(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::amount::AmountProblem;

    fn strictly(call: RawCall<'_>) -> Result<Postback, Problem> {
        let (postback, problem) = parse(call);
        problem.map_or(Ok(postback), Err)
    }

    fn query(query: &str) -> Result<Postback, Problem> {
        strictly(RawCall {
            query,
            content_type: None,
            body: b"",
        })
    }

    fn json(body: &str) -> Result<Postback, Problem> {
        strictly(RawCall {
            query: "",
            content_type: Some("application/json; charset=utf-8"),
            body: body.as_bytes(),
        })
    }

    fn sample() -> Postback {
        Postback {
            click_id: Some("c1".into()),
            goal: Some("sale".into()),
            order_id: Some("A-1".into()),
            amount: Some(Amount { micros: 12_100_000 }),
            currency: Some("EUR".into()),
            token: Some("t".into()),
            extra: vec![("coupon".into(), "SPRING 20".into())],
        }
    }

    #[test]
    fn query_form_and_json_say_the_same() {
        let pairs = "click_id=c1&goal=sale&order_id=A-1&amount=12.10&currency=EUR&token=t&coupon=SPRING+20";
        assert_eq!(query(pairs), Ok(sample()));
        let form = RawCall {
            query: "",
            content_type: Some("application/x-www-form-urlencoded"),
            body: pairs.as_bytes(),
        };
        assert_eq!(strictly(form), Ok(sample()));
        for amount in ["12.10", "\"12.10\""] {
            let body = format!(
                r#"{{"click_id":"c1","goal":"sale","order_id":"A-1","amount":{amount},"currency":"EUR","token":"t","coupon":"SPRING 20","note":null}}"#
            );
            assert_eq!(json(&body), Ok(sample()));
        }
    }

    #[test]
    fn parameters_may_be_split_between_query_and_body_but_not_sent_twice() {
        let call = |body| RawCall {
            query: "token=t&order_id=1",
            content_type: Some("application/json"),
            body,
        };
        assert_eq!(
            strictly(call(br#"{"click_id":"c"}"#))
                .unwrap()
                .click_id
                .as_deref(),
            Some("c")
        );
        let repeated = Err(Problem::Repeated {
            parameter: "order_id".into(),
        });
        assert_eq!(strictly(call(br#"{"order_id":"2"}"#)), repeated);
        assert_eq!(query("order_id=1&order_id=1"), repeated);
        assert_eq!(json(r#"{"order_id":"1","order_id":"2"}"#), repeated);
    }

    #[test]
    fn an_amount_of_zero_is_not_a_missing_amount() {
        assert_eq!(query("amount=0").unwrap().amount, Some(Amount { micros: 0 }));
        assert_eq!(query("amount=").unwrap().amount, None);
        assert_eq!(
            json(r#"{"amount":0}"#).unwrap().amount,
            Some(Amount { micros: 0 })
        );
    }

    #[test]
    fn a_json_number_is_read_as_it_is_written() {
        let refused = |text: &str, problem| {
            Err(Problem::Amount {
                text: text.into(),
                problem,
            })
        };
        assert_eq!(json(r#"{"amount":1e5}"#), refused("1e5", AmountProblem::Exponent));
        assert_eq!(json(r#"{"amount":-3}"#), refused("-3", AmountProblem::Negative));
        assert_eq!(
            json(r#"{"amount":true}"#),
            refused("true", AmountProblem::NotANumber)
        );
    }

    #[test]
    fn placeholders_are_recognised_in_every_delimiter() {
        for value in [
            "{click_id}",
            "[clickid]",
            "<id>",
            "#reqid#",
            "%id%",
            "$id$",
            "${id}",
            "[[subid]]",
            "REPLACE",
        ] {
            assert!(is_placeholder(value), "{value}");
        }
        for value in ["", "{}", "abc", "a{b}", "12.50", "#1"] {
            assert!(!is_placeholder(value), "{value}");
        }
        let unreplaced = query("click_id=%7Bclick_id%7D");
        assert_eq!(
            unreplaced,
            Err(Problem::MacroUnreplaced {
                parameter: "click_id".into(),
                value: "{click_id}".into()
            })
        );
    }

    #[test]
    fn a_body_that_cannot_be_read_says_where() {
        let detail = |result: Result<Postback, Problem>| match result {
            Err(Problem::Body { detail }) => detail,
            other => panic!("{other:?}"),
        };
        assert!(detail(json("{\"a\":1,")).contains("line 1 column 7"));
        assert!(detail(json("[1]")).contains("not one flat object"));
        assert_eq!(
            detail(json(r#""{\"token\":\"secret\"}""#)),
            "it is JSON, but not one flat object"
        );
        assert!(detail(json(r#"{"a":"\ud800"}"#)).contains("member a"));
        let xml = RawCall {
            query: "",
            content_type: Some("text/xml"),
            body: b"<a/>",
        };
        assert_eq!(detail(strictly(xml)), "its Content-Type is text/xml");
        let bytes = RawCall {
            query: "",
            content_type: Some("application/json"),
            body: b"{\xff",
        };
        assert_eq!(detail(strictly(bytes)), "it is not UTF-8 at byte 1");
    }

    #[test]
    fn what_can_be_read_is_read_beside_a_problem() {
        let (postback, problem) = parse(RawCall {
            query: "click_id=c1&order_id=%FF&amount=1,5&token=t",
            content_type: None,
            body: b"",
        });
        assert_eq!(
            problem,
            Some(Problem::Undecodable {
                parameter: "order_id".into(),
                offset: 0
            })
        );
        assert_eq!(
            (postback.click_id.as_deref(), postback.token.as_deref()),
            (Some("c1"), Some("t"))
        );
        assert_eq!((postback.order_id, postback.amount), (None, None));
    }

    #[test]
    fn long_values_and_many_parameters_are_refused() {
        assert!(matches!(
            query(&format!("order_id={}", "x".repeat(257))),
            Err(Problem::TooLong { length: 257, .. })
        ));
        assert!(matches!(
            query(&format!("note={}", "x".repeat(2049))),
            Err(Problem::TooLong { limit: 2048, .. })
        ));
        let many: Vec<String> = (0..101).map(|n| format!("p{n}=1")).collect();
        assert_eq!(query(&many.join("&")), Err(Problem::TooMany { limit: 100 }));
        let members: Vec<_> = (0..300).map(|n| format!("\"p{n}\":1")).collect();
        assert_eq!(
            json(&format!("{{{}}}", members.join(","))),
            Err(Problem::TooMany { limit: 100 })
        );
        assert_eq!(
            json(r#"{"\u0000":"\ud800"}"#),
            Err(Problem::Nul {
                parameter: String::new()
            })
        );
    }

    proptest! {
        #[test]
        fn no_call_makes_it_panic(query in ".{0,120}", body in prop::collection::vec(any::<u8>(), 0..200), json in any::<bool>()) {
            let content_type = if json { "application/json" } else { "application/x-www-form-urlencoded" };
            let _ = parse(RawCall { query: &query, content_type: Some(content_type), body: &body });
        }
    }
}
