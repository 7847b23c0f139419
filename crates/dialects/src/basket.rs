//! Baskets: parsing the line items of an order.

use std::collections::BTreeMap;

use crate::postback::{ITEM_LIMIT, Item};
use crate::values::Money;
use crate::{Amount, Problem, json};

/// Maximum length of a whole basket in one parameter, in bytes.
const BASKET_LIMIT: usize = 64 * 1024;
/// Maximum length of a text of an item, in bytes.
const TEXT_LIMIT: usize = 256;

/// Format of a system's line items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Basket {
    /// No line items.
    None,
    /// `[key:value/…]` at the end of the path.
    Path(Names),
    /// Numbered parameters from 1: `ITEM1`, `AMT1`.
    Numbered(Names, Price),
    /// A JSON list in one parameter or member.
    Json(&'static str, Names, Price),
    /// One parameter per part, with values separated by this character.
    Lists(Names, char, Price),
    /// `reportInfo=f1=SKU&f2=name&f3=price&f4=quantity|…`, prices of a piece.
    Tradedoubler,
    /// `bd[0]=AW:P|advertiser|order|product|name|price|quantity|sku|group|category`.
    Awin,
}

/// Names of an item's parts, `a|b` for two of the same part; empty for parts the system does not have. Letter case does not
/// matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) sku: &'static str,
    pub(crate) category: &'static str,
    pub(crate) name: &'static str,
    pub(crate) quantity: &'static str,
    pub(crate) amount: &'static str,
    /// Amount of the whole line, where it is sent in place of the price of a piece.
    pub(crate) total: &'static str,
    /// Discount of the whole line.
    pub(crate) discount: &'static str,
    /// Discount of each piece.
    pub(crate) piece_discount: &'static str,
}

impl Names {
    /// No names.
    pub(crate) const NONE: Self = Self {
        sku: "",
        category: "",
        name: "",
        quantity: "",
        amount: "",
        total: "",
        discount: "",
        piece_discount: "",
    };

    /// Name under which a part is sent.
    pub(crate) fn sent(name: &'static str) -> &'static str {
        name.split('|').next().unwrap_or(name)
    }
}

/// Quantity that an item's amount is the price of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Price {
    /// One piece.
    Piece,
    /// The whole line.
    Line,
}

/// Item and part that a parameter belongs to.
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
    Total,
    Discount,
    PieceDiscount,
    /// The whole item, or the whole basket.
    Whole,
    /// A part that our items do not have.
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
            (self.total, Part::Total),
            (self.discount, Part::Discount),
            (self.piece_discount, Part::PieceDiscount),
        ]
        .into_iter()
        .find_map(|(known, part)| {
            let is_same = known.split('|').any(|known| known.eq_ignore_ascii_case(name));
            is_same.then_some(part)
        })
    }
}

impl Basket {
    /// Item and part that a parameter belongs to; `None` if the parameter is not part of the basket.
    pub(crate) fn claims(&self, name: &str) -> Option<Claim> {
        match self {
            Self::None | Self::Path(_) => None,
            Self::Numbered(names, _) => {
                let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
                let part = names.part(stem)?;
                let item = name.get(stem.len()..)?.parse().ok()?;
                Some(Claim { item, part })
            }
            Self::Json(member, ..) => (name == *member).then_some(Claim {
                item: 0,
                part: Part::Whole,
            }),
            Self::Tradedoubler => name.eq_ignore_ascii_case("reportInfo").then_some(Claim {
                item: 0,
                part: Part::Whole,
            }),
            Self::Lists(names, ..) => names.part(name).map(|part| Claim { item: 0, part }),
            Self::Awin => {
                let number = name.strip_prefix("bd[")?.strip_suffix(']')?;
                let item = number.parse().ok()?;
                let part = Part::Whole;
                Some(Claim { item, part })
            }
        }
    }

    /// Item and part of a name inside an item.
    pub(crate) fn part_of(&self, item: usize, name: &str) -> Claim {
        let part = match self {
            Self::Path(names) => names.part(name).unwrap_or(Part::Other),
            _ => Part::Other,
        };
        Claim { item, part }
    }
}

/// A basket that is being parsed.
#[derive(Default)]
pub(crate) struct Draft {
    items: BTreeMap<usize, Item>,
    /// Amounts of whole lines, which replace the price of a piece.
    totals: BTreeMap<usize, Amount>,
    /// Discounts of whole lines.
    discounts: BTreeMap<usize, Amount>,
    /// Discounts of each piece.
    piece_discounts: BTreeMap<usize, Amount>,
    /// True if amounts are per piece, to be multiplied once the quantity is known.
    per_piece: bool,
}

impl Draft {
    /// Parses one parameter of the basket. `other` receives values without a place in an item.
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
            (Basket::Tradedoubler, _) => self.take_tradedoubler(name, value, money),
            (Basket::Lists(_, separator, price), part) => {
                self.per_piece = *price == Price::Piece;
                self.take_list(part, *separator, (name, value), money)
            }
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
            let detail = "it is not AW:P and nine values separated by bars".to_owned();
            return Err(malformed(name, detail));
        };
        self.per_piece = true;
        let first = |one: &&'_ str, other: &&'_ str| (if one.is_empty() { *other } else { *one }).to_owned();
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

    fn take_tradedoubler(&mut self, name: &str, value: &str, money: &Money<'_>) -> Result<(), Problem> {
        self.per_piece = true;
        for (number, line) in value.split('|').enumerate() {
            for pair in line.split('&') {
                let (field, text) = pair.split_once('=').unwrap_or((pair, ""));
                let part = match field {
                    "f1" => Part::Sku,
                    "f2" => Part::Name,
                    "f3" => Part::Amount,
                    "f4" => Part::Quantity,
                    _ => continue,
                };
                if !text.is_empty() {
                    self.set(number, part, name, text, money)?;
                }
            }
        }
        Ok(())
    }

    fn take_list(
        &mut self,
        part: Part,
        separator: char,
        (name, value): (&str, &str),
        money: &Money<'_>,
    ) -> Result<(), Problem> {
        for (number, text) in value.split(separator).enumerate() {
            if text.is_empty() {
                // An empty value still takes its place in the list.
                self.item(number, name)?;
            } else {
                self.set(number, part, name, text, money)?;
            }
        }
        Ok(())
    }

    fn item(&mut self, number: usize, parameter: &str) -> Result<&mut Item, Problem> {
        if self.items.len() >= ITEM_LIMIT && !self.items.contains_key(&number) {
            return Err(malformed(
                parameter,
                format!("it has more than {ITEM_LIMIT} items"),
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
            Part::Amount => item.amount = Some(money.read_line(parameter, value)?),
            Part::Total => {
                self.totals.insert(number, money.read_line(parameter, value)?);
            }
            Part::Discount => {
                self.discounts.insert(number, money.read(parameter, value)?);
            }
            Part::PieceDiscount => {
                self.piece_discounts.insert(number, money.read(parameter, value)?);
            }
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

    /// Returns the items in order, and true if the amount of a line was too large.
    pub(crate) fn finish(self) -> (Vec<Item>, bool) {
        let mut too_large = false;
        let mut items = Vec::with_capacity(self.items.len());
        for (number, mut item) in self.items {
            let pieces = item.quantity.map_or(1, i64::from);
            let quantity = if self.per_piece { pieces } else { 1 };
            let line = match self.totals.get(&number) {
                Some(total) => Some(*total),
                None => item.amount.and_then(|price| {
                    let line = times(price, quantity);
                    too_large |= line.is_none();
                    line
                }),
            };
            let discount = self.discounts.get(&number).map_or(0, |discount| discount.micros);
            let each = self.piece_discounts.get(&number);
            let each = each.map_or(0, |each| each.micros.saturating_mul(pieces));
            item.amount = line.map(|line| Amount {
                micros: line.micros.saturating_sub(discount).saturating_sub(each),
            });
            items.push(item);
        }
        (items, too_large)
    }
}

/// Amount of several pieces; `None` if it is too large.
fn times(price: Amount, quantity: i64) -> Option<Amount> {
    let micros = price.micros.checked_mul(quantity)?;
    Amount::from_micros(micros.checked_abs()?)?;
    Some(Amount { micros })
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
