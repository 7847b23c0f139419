//! Baskets: the ways in which systems write the lines of an order.

use std::collections::BTreeMap;

use crate::postback::{ITEM_LIMIT, Item};
use crate::values::Money;
use crate::{Amount, Problem, json};

/// Longest whole basket in one parameter, in bytes.
const BASKET_LIMIT: usize = 64 * 1024;
/// Longest text of an item, in bytes.
const TEXT_LIMIT: usize = 256;

/// How a system writes the lines of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Basket {
    /// Not at all.
    None,
    /// As `[key:value/…]` at the end of the path.
    Path(Names),
    /// As numbered parameters, from 1: `ITEM1`, `AMT1`.
    Numbered(Names, Price),
    /// As a JSON list in one parameter or member.
    Json(&'static str, Names, Price),
    /// As one parameter for each part, its values between bars, amounts in the smallest coins of whole lines.
    Lists(Names),
    /// As `bd[0]=AW:P|advertiser|order|product|name|price|quantity|sku|group|category`.
    Awin,
}

/// What the parts of an item are called; empty where the system has none such.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) sku: &'static str,
    pub(crate) category: &'static str,
    pub(crate) name: &'static str,
    pub(crate) quantity: &'static str,
    pub(crate) amount: &'static str,
}

/// What an item's amount is the price of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Price {
    /// One piece.
    Piece,
    /// All pieces of the line.
    Line,
}

/// Which part of which item a parameter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) item: usize,
    pub(crate) part: Part,
}

/// A part of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Sku,
    Category,
    Name,
    Quantity,
    Amount,
    /// The whole item, or the whole basket.
    Whole,
    /// A part without a place in ours.
    Other,
}

impl Names {
    fn part(&self, name: &str) -> Option<Part> {
        if name.is_empty() {
            return None;
        }
        [
            (self.sku, Part::Sku),
            (self.category, Part::Category),
            (self.name, Part::Name),
            (self.quantity, Part::Quantity),
            (self.amount, Part::Amount),
        ]
        .into_iter()
        .find_map(|(known, part)| (known == name).then_some(part))
    }
}

impl Basket {
    /// Whether a parameter belongs to the basket, and where in it.
    pub(crate) fn claims(&self, name: &str) -> Option<Claim> {
        match self {
            Self::None | Self::Path(_) => None,
            Self::Numbered(names, _) => {
                let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
                let part = names
                    .part(&stem.to_ascii_uppercase())
                    .or_else(|| names.part(stem))?;
                let item = name.get(stem.len()..)?.parse().ok()?;
                Some(Claim { item, part })
            }
            Self::Json(member, ..) => (name == *member).then_some(Claim {
                item: 0,
                part: Part::Whole,
            }),
            Self::Lists(names) => names.part(name).map(|part| Claim { item: 0, part }),
            Self::Awin => {
                let number = name.strip_prefix("bd[")?.strip_suffix(']')?;
                let item = number.parse().ok()?;
                let part = Part::Whole;
                Some(Claim { item, part })
            }
        }
    }

    /// Which part a name inside of an item is.
    pub(crate) fn part_of(&self, item: usize, name: &str) -> Claim {
        let part = match self {
            Self::Path(names) => names.part(name).unwrap_or(Part::Other),
            _ => Part::Other,
        };
        Claim { item, part }
    }
}

/// A basket that is being read.
#[derive(Default)]
pub(crate) struct Draft {
    items: BTreeMap<usize, Item>,
    /// Amounts are of one piece, and are multiplied once the quantity is known too.
    per_piece: bool,
}

impl Draft {
    /// Takes one parameter of the basket in. `other` gets what has no place in an item.
    pub(crate) fn take(
        &mut self,
        basket: &Basket,
        claim: Claim,
        (name, value): (&str, &str),
        money: &Money<'_>,
        other: &mut Vec<(String, String)>,
    ) -> Result<(), Problem> {
        if value.is_empty() {
            return Ok(());
        }
        within(BASKET_LIMIT, name, value)?;
        match (basket, claim.part) {
            (Basket::Json(_, names, price), _) => self.take_json(name, value, (names, *price), money, other),
            (Basket::Awin, _) => self.take_awin(claim.item, name, value, money),
            (Basket::Lists(_), part) => self.take_list(part, name, value, money),
            (_, Part::Other) => {
                other.push((format!("item{}.{name}", claim.item), value.to_owned()));
                Ok(())
            }
            (Basket::Numbered(_, Price::Piece), part) => {
                self.per_piece = true;
                self.set(claim.item, part, name, value, money)
            }
            (_, part) => self.set(claim.item, part, name, value, money),
        }
    }

    fn take_json(
        &mut self,
        parameter: &str,
        value: &str,
        (names, price): (&Names, Price),
        money: &Money<'_>,
        other: &mut Vec<(String, String)>,
    ) -> Result<(), Problem> {
        let entries = json::objects(value, ITEM_LIMIT).map_err(|detail| malformed(parameter, detail))?;
        self.per_piece = price == Price::Piece;
        for (number, members) in entries.into_iter().enumerate() {
            self.items.entry(number).or_default();
            for (member, value) in members {
                match names.part(&member) {
                    Some(_) if value.is_empty() => {}
                    Some(part) => {
                        self.set(
                            number,
                            part,
                            &format!("{parameter}[{number}].{member}"),
                            &value,
                            money,
                        )?;
                    }
                    None => other.push((format!("item{number}.{member}"), value)),
                }
            }
        }
        Ok(())
    }

    fn take_awin(&mut self, item: usize, name: &str, value: &str, money: &Money<'_>) -> Result<(), Problem> {
        let fields: Vec<&str> = value.split('|').collect();
        let ["AW:P", _, _, id, title, price, quantity, sku, group, category] = fields.as_slice() else {
            let detail = "it is not AW:P and nine values between bars".to_owned();
            return Err(malformed(name, detail));
        };
        self.per_piece = true;
        let first = |one: &&'_ str, other: &&'_ str| match one.is_empty() {
            true => (*other).to_owned(),
            false => (*one).to_owned(),
        };
        for (part, text) in [
            (Part::Sku, first(sku, id)),
            (Part::Category, first(group, category)),
            (Part::Name, (*title).to_owned()),
            (Part::Quantity, (*quantity).to_owned()),
            (Part::Amount, (*price).to_owned()),
        ] {
            if !text.is_empty() {
                self.set(item, part, name, &text, money)?;
            }
        }
        Ok(())
    }

    fn take_list(&mut self, part: Part, name: &str, value: &str, money: &Money<'_>) -> Result<(), Problem> {
        for (number, text) in value.split('|').enumerate() {
            match text.is_empty() {
                // Its place in the list counts all the same.
                true => drop(self.item(number, name)?),
                false => self.set(number, part, name, text, money)?,
            }
        }
        Ok(())
    }

    fn item(&mut self, number: usize, parameter: &str) -> Result<&mut Item, Problem> {
        if self.items.len() >= ITEM_LIMIT && !self.items.contains_key(&number) {
            return Err(malformed(
                parameter,
                format!("there are more than {ITEM_LIMIT} items"),
            ));
        }
        Ok(self.items.entry(number).or_default())
    }

    fn set(
        &mut self,
        number: usize,
        part: Part,
        parameter: &str,
        value: &str,
        money: &Money<'_>,
    ) -> Result<(), Problem> {
        let item = self.item(number, parameter)?;
        match part {
            Part::Amount => item.amount = Some(money.read(parameter, value)?),
            Part::Quantity => item.quantity = Some(quantity(parameter, value)?),
            _ => {
                within(TEXT_LIMIT, parameter, value)?;
                match part {
                    Part::Sku => item.sku = Some(value.to_owned()),
                    Part::Category => item.category = Some(value.to_owned()),
                    _ => item.name = Some(value.to_owned()),
                }
            }
        }
        Ok(())
    }

    /// The items in order, and whether the amount of a line was too large to be one.
    pub(crate) fn finish(self) -> (Vec<Item>, bool) {
        let mut too_large = false;
        let per_piece = self.per_piece;
        let whole = |mut item: Item| {
            if let (true, Some(amount), Some(quantity)) = (per_piece, item.amount, item.quantity) {
                let line = amount.micros.checked_mul(i64::from(quantity));
                item.amount = line.and_then(Amount::from_micros);
                too_large |= item.amount.is_none();
            }
            item
        };
        let items = self.items.into_values().map(whole).collect();
        (items, too_large)
    }
}

fn quantity(parameter: &str, value: &str) -> Result<u32, Problem> {
    // Some systems write every number with decimals.
    let whole = value
        .split_once('.')
        .map_or(value, |(whole, zeros)| match zeros.trim_matches('0') {
            "" => whole,
            _ => value,
        });
    let digits = whole.bytes().all(|byte| byte.is_ascii_digit());
    match whole.parse() {
        Ok(quantity) if digits => Ok(quantity),
        _ => Err(malformed(
            parameter,
            "a quantity is not a whole number".to_owned(),
        )),
    }
}

fn malformed(parameter: &str, detail: String) -> Problem {
    Problem::Malformed {
        parameter: parameter.chars().take(64).collect(),
        detail,
    }
}

pub(crate) fn within(limit: usize, parameter: &str, value: &str) -> Result<(), Problem> {
    match value.len() {
        length if length > limit => Err(Problem::TooLong {
            parameter: parameter.chars().take(64).collect(),
            length,
            limit,
        }),
        _ => Ok(()),
    }
}
