//! Collecting the parameters of a call from path, query and body: the first of the two steps of parsing.

use std::collections::HashSet;

use crate::basket::{Claim, within};
use crate::bulk::ORDER_LIMIT;
use crate::decode::{Broken, decode_or_repair};
use crate::dialect::{Dialect, Wire};
use crate::field::Field;
use crate::{Problem, RawCall, json, multipart, path};

/// Maximum number of parameters, items aside.
pub(crate) const PARAMETER_LIMIT: usize = 100;
/// Maximum number of item parameters: a hundred items of eight parameters.
const ITEM_PARAMETER_LIMIT: usize = 800;

/// Maximum length of a parameter's name, in bytes.
const NAME_LIMIT: usize = 256;

/// A decoded parameter.
#[derive(Debug)]
pub(crate) struct Sent {
    /// Position in the call, from 1.
    pub(crate) at: usize,
    /// Item and part for parameters of a basket; `None` for others.
    pub(crate) claim: Option<Claim>,
    /// [`Dialect::place_of`] of its name.
    pub(crate) place: Option<(usize, usize)>,
    pub(crate) name: String,
    pub(crate) value: String,
}

/// Parameters of a call.
pub(crate) struct Collected {
    pub(crate) sent: Vec<Sent>,
    /// Position and description of the first problem; `None` without problems.
    pub(crate) problem: Option<(usize, Problem)>,
}

/// Decoded name and value of a parameter, or the problem with it.
pub(crate) type Pair = Result<(String, String), Broken>;

/// Collects every parameter of a call. One that cannot be decoded is left out; the first of those is the problem.
pub(crate) fn collect(dialect: &Dialect, call: &RawCall<'_>) -> Collected {
    collect_pairs(dialect, call.path(), pairs(call))
}

/// Collects the parameters of a path and the decoded ones of query and body, in that order.
pub(crate) fn collect_pairs(dialect: &Dialect, path: &str, pairs: Vec<Pair>) -> Collected {
    let mut collector = Collector::of(dialect);
    if dialect
        .endpoints
        .iter()
        .any(|endpoint| endpoint.wire == Wire::Path)
    {
        path::pairs(path, &mut |(item, pair)| {
            collector.take(item, pair.map_err(Broken::from))
        });
    }
    for pair in pairs {
        collector.take(None, pair);
    }
    Collected {
        sent: collector.sent,
        problem: collector.problem,
    }
}

/// Decodes the parameters of query and body, in that order.
pub(crate) fn pairs(call: &RawCall<'_>) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = decode_or_repair(call.query()).collect();
    body(call, &mut |pair| pairs.push(pair));
    pairs
}

fn body(call: &RawCall<'_>, sink: &mut dyn FnMut(Pair)) {
    if call.body.is_empty() {
        return;
    }
    let unreadable = |detail| Err(Broken::from(Problem::Body { detail }));
    if call.body.starts_with(b"\x1F\x8B") {
        return sink(unreadable(
            "it is compressed with gzip: send it uncompressed".to_owned(),
        ));
    }
    let content_type = call.content_type.unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    // A byte-order mark says nothing that UTF-8 leaves open.
    let bytes = call.body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(call.body);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(broken) => {
            return sink(unreadable(format!(
                "it is not UTF-8 at byte {}",
                broken.valid_up_to()
            )));
        }
    };
    let is = |wanted: &str| media_type.eq_ignore_ascii_case(wanted);
    let (is_form, is_json) = (is("application/x-www-form-urlencoded"), is("application/json"));
    // `curl -d` calls everything a form, and some programs send no type, or that of plain text.
    let is_unclear = is_form || media_type.is_empty() || is("text/plain") || is("text/json");
    let trimmed = text.trim();
    if is("multipart/form-data") {
        multipart::parameters(content_type, text, sink);
    } else if is_json || is_unclear && trimmed.starts_with('{') && trimmed.ends_with('}') {
        json::parameters(text, &mut |pair| sink(pair.map_err(Broken::from)));
    } else if is_form || is_unclear && trimmed.contains('=') {
        for pair in decode_or_repair(trimmed) {
            sink(pair);
        }
    } else {
        let named: String = match media_type {
            "" => "missing".to_owned(),
            other => other.chars().take(64).collect(),
        };
        sink(unreadable(format!("its Content-Type is {named}")));
    }
}

struct Collector<'d> {
    dialect: &'d Dialect,
    sent: Vec<Sent>,
    seen: HashSet<(Option<usize>, String)>,
    plain: usize,
    at: usize,
    problem: Option<(usize, Problem)>,
}

impl<'d> Collector<'d> {
    fn of(dialect: &'d Dialect) -> Self {
        Self {
            dialect,
            sent: Vec::new(),
            seen: HashSet::new(),
            plain: 0,
            at: 0,
            problem: None,
        }
    }

    fn take(&mut self, item: Option<usize>, pair: Pair) {
        self.at += 1;
        let taken = match pair {
            Ok((name, value)) => self.keep(item, name, value),
            // A further parameter decides nothing: it is kept as far as it can be read.
            Err(Broken {
                repaired: Some((name, value)),
                ..
            }) if item.is_none() && self.dialect.meaning(&name) == Field::Extra => {
                self.keep(item, name, value)
            }
            Err(broken) => Err(broken.problem),
        };
        if let Err(problem) = taken {
            self.problem.get_or_insert((self.at, problem));
        }
    }

    fn keep(&mut self, item: Option<usize>, name: String, value: String) -> Result<(), Problem> {
        let claim = match item {
            Some(number) => Some(self.dialect.basket.part_of(number, &name)),
            None => self.dialect.basket.claims(&name),
        };
        self.count(claim.is_some())?;
        within(NAME_LIMIT, &name, &name)?;
        let place = self.dialect.place_of(&name);
        let key = Dialect::name_key(&name, place);
        if !self.dialect.is_repeatable(&name) && !self.seen.insert((item, key)) {
            return Err(Problem::Repeated { parameter: name });
        }
        if claim.is_none() && self.dialect.field_at(place) == Some(Field::Sale) {
            return self.take_sale(&name, &value);
        }
        self.sent.push(Sent {
            at: self.at,
            claim,
            place,
            name,
            value,
        });
        Ok(())
    }

    fn count(&mut self, of_item: bool) -> Result<(), Problem> {
        let (limit, taken) = if of_item {
            (ITEM_PARAMETER_LIMIT, self.sent.len().saturating_sub(self.plain))
        } else {
            (PARAMETER_LIMIT, self.plain)
        };
        if taken >= limit {
            return Err(Problem::TooMany { limit });
        }
        self.plain += usize::from(!of_item);
        Ok(())
    }

    /// Splits a JSON list with one whole sale into `name.member` parameters.
    fn take_sale(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        let malformed = |detail| Problem::Malformed {
            parameter: name.to_owned(),
            detail,
        };
        let mut sales = json::objects(value, PARAMETER_LIMIT).map_err(malformed)?;
        match (sales.pop(), sales.len()) {
            (Some(sale), 0) => sale
                .into_iter()
                .try_for_each(|(member, value)| self.keep(None, format!("{name}.{member}"), value)),
            (None, _) => Ok(()),
            (Some(_), others) => Err(malformed(format!(
                "it has {} conversions; a JSON body may have at most {ORDER_LIMIT}, and little else",
                others + 1
            ))),
        }
    }
}
