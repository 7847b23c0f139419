//! Single values: amounts, lists of click ids, flags, keywords.

use std::cell::Cell;

use crate::amount::{AmountProblem, is_rounded};
use crate::dialect::{Dialect, Money as MoneyFormat};
use crate::postback::{CLICK_LIMIT, CustomerType, Intent};
use crate::{Amount, Problem, json};

/// Format of the amounts in a call.
pub(crate) struct Money<'a> {
    format: MoneyFormat,
    currency: Option<&'a str>,
    /// True once an amount was rounded.
    rounded: Cell<bool>,
}

impl<'a> Money<'a> {
    pub(crate) fn of(dialect: &Dialect, currency: Option<&'a str>) -> Self {
        Self {
            format: dialect.money,
            currency,
            rounded: Cell::new(false),
        }
    }

    /// True if an amount was rounded since.
    pub(crate) fn has_rounded(&self) -> bool {
        self.rounded.get()
    }

    /// Parses one amount.
    pub(crate) fn read(&self, parameter: &str, text: &str) -> Result<Amount, Problem> {
        self.parse(text)
            .map_err(|problem| amount_problem(parameter, text, problem))
    }

    /// Parses the amount of a line of an order, which is negative for a discount.
    pub(crate) fn read_line(&self, parameter: &str, text: &str) -> Result<Amount, Problem> {
        Amount::of_line(text, |text| self.parse(text))
            .map_err(|problem| amount_problem(parameter, text, problem))
    }

    fn parse(&self, text: &str) -> Result<Amount, AmountProblem> {
        self.rounded.set(self.rounded.get() || is_rounded(text));
        match self.format {
            MoneyFormat::Major | MoneyFormat::Quoted => Amount::parse(text),
            MoneyFormat::Comma => Amount::parse_with_comma(text),
            MoneyFormat::Minor => Amount::parse_minor(text, self.currency),
            MoneyFormat::Hundredths => Amount::parse_hundredths(text, self.currency),
        }
    }
}

pub(crate) fn amount_problem(parameter: &str, text: &str, problem: AmountProblem) -> Problem {
    Problem::Amount {
        parameter: parameter.chars().take(64).collect(),
        text: text.chars().take(64).collect(),
        problem,
    }
}

/// Click ids of `[{"name":…,"value":…}]`; `None` for any other text.
pub(crate) fn listed_clicks(value: &str) -> Option<Vec<String>> {
    let entries = json::objects(value, CLICK_LIMIT + 1).ok()?;
    let id = |members: Vec<(String, String)>| members.into_iter().find(|(name, _)| name == "value");
    let ids = entries.into_iter().filter_map(id).map(|(_, id)| id);
    Some(ids.filter(|id| !id.is_empty()).collect())
}

/// Click ids in one value: several if the dialect allows lists.
pub(crate) fn clicks(value: &str, dialect: &Dialect) -> Vec<String> {
    if dialect.repeatable.is_empty() {
        return vec![value.to_owned()];
    }
    let listed = json::texts(value, CLICK_LIMIT + 1);
    let ids = listed.unwrap_or_else(|| value.split(',').map(|id| id.trim().to_owned()).collect());
    ids.into_iter()
        .filter(|id| !id.is_empty())
        .take(CLICK_LIMIT + 1)
        .collect()
}

pub(crate) fn customer_type(value: &str) -> Option<CustomerType> {
    const EXISTING: [&str; 7] = [
        "lapsed",
        "existing",
        "returning",
        "return",
        "repeat",
        "old",
        "existing_customer",
    ];
    let lower = value.to_ascii_lowercase();
    match lower.as_str() {
        "new" | "first" | "new_customer" => Some(CustomerType::New),
        other if EXISTING.contains(&other) => Some(CustomerType::Existing),
        _ => None,
    }
}

pub(crate) fn flag(value: &str) -> Option<bool> {
    match value {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

pub(crate) fn intent(value: &str) -> Option<Intent> {
    Some(match value {
        "report" | "create" => Intent::Report,
        "update" => Intent::Update,
        "upsert" => Intent::Upsert,
        "refund" => Intent::Refund,
        _ => return None,
    })
}

/// Credentials of an `Authorization` header with this scheme, which is not case-sensitive.
pub(crate) fn scheme<'a>(header: &'a str, scheme: &str) -> Option<&'a str> {
    let (named, rest) = header.trim().split_once(' ')?;
    named.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}
