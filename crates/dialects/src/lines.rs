//! Writing the line items of an order: the inverse of [`crate::basket`].

use crate::basket::{Basket, Names, Price};
use crate::field::Field;
use crate::wire::{self, Pairs, Written};
use crate::{Amount, Dialect, Item, Postback};

/// Writes the line items into parameters, or returns them if they belong in the path.
pub(crate) fn write(dialect: &Dialect, postback: &Postback, pairs: &mut Pairs) -> Vec<Pairs> {
    let alone = [order_as_item(postback)];
    let has_only_items = match dialect.basket {
        Basket::Path(_) => true,
        Basket::Lists(..) => !dialect.has(Field::Amount),
        _ => false,
    };
    let items = match (postback.items.is_empty(), postback.amount) {
        (false, _) => postback.items.as_slice(),
        (true, Some(_)) if has_only_items => alone.as_slice(),
        _ => return Vec::new(),
    };
    let writer = Writer { dialect, postback };
    match &dialect.basket {
        Basket::None => {}
        Basket::Path(names) => {
            return items
                .iter()
                .map(|item| writer.parts(item, names, Price::Line))
                .collect();
        }
        Basket::Numbered(names, price) => {
            for (number, item) in items.iter().enumerate() {
                let parts = writer.parts(item, names, *price).into_iter();
                pairs.extend(parts.map(|(name, value)| (format!("{name}{}", number + 1), value)));
            }
        }
        Basket::Json(member, names, price) => {
            let objects: Vec<String> = items
                .iter()
                .map(|item| wire::object(writer.parts(item, names, *price)))
                .collect();
            pairs.push((
                (*member).to_owned(),
                Written::Raw(format!("[{}]", objects.join(","))),
            ));
        }
        Basket::Lists(names, separator, price) => writer.lists(items, names, (*separator, *price), pairs),
        Basket::Tradedoubler => {
            let lines: Vec<String> = items.iter().map(|item| writer.tradedoubler(item)).collect();
            pairs.push(("reportInfo".to_owned(), Written::Text(lines.join("|"))));
        }
        Basket::Awin => {
            let lines = items
                .iter()
                .enumerate()
                .map(|(number, item)| writer.awin(number, item));
            pairs.extend(lines);
        }
    }
    Vec::new()
}

/// Awin's groups: the items' amounts by category, or the whole order under its goal.
pub(crate) fn groups(postback: &Postback) -> Option<String> {
    const UNNAMED: &str = "DEFAULT";
    let mut groups: Vec<(&str, Amount)> = Vec::new();
    for item in &postback.items {
        let (name, amount) = (item.category.as_deref().unwrap_or(UNNAMED), item.amount?);
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => sum.micros = sum.micros.checked_add(amount.micros)?,
            None => groups.push((name, amount)),
        }
    }
    if groups.is_empty() {
        groups.push((postback.goal.as_deref().unwrap_or(UNNAMED), postback.amount?));
    }
    let group = |(name, amount): &(&str, Amount)| format!("{}:{amount}", without_bars(name));
    Some(groups.iter().map(group).collect::<Vec<_>>().join("|"))
}

/// An order without line items as one item, for systems that have only items.
fn order_as_item(postback: &Postback) -> Item {
    Item {
        category: postback.goal.clone(),
        amount: postback.amount,
        ..Item::default()
    }
}

/// Removes bars from a value that bars separate from others.
fn without_bars(text: &str) -> String {
    text.replace('|', " ")
}

struct Writer<'a> {
    dialect: &'a Dialect,
    postback: &'a Postback,
}

impl Writer<'_> {
    fn parts(&self, item: &Item, names: &Names, price: Price) -> Pairs {
        let (quantity, amount) = match price {
            Price::Piece => piece(item),
            Price::Line => (item.quantity, item.amount),
        };
        let text = |text: &Option<String>| text.clone().map(Written::Text);
        [
            (names.category, text(&item.category)),
            (names.sku, text(&item.sku)),
            (names.name, text(&item.name)),
            (
                names.amount,
                amount.map(|amount| self.dialect.money(amount, self.postback)),
            ),
            (
                names.quantity,
                quantity.map(|quantity| Written::Raw(quantity.to_string())),
            ),
        ]
        .into_iter()
        .filter(|(name, _)| !name.is_empty())
        .filter_map(|(name, value)| Some((Names::sent(name).to_owned(), value?)))
        .collect()
    }

    fn lists(&self, items: &[Item], names: &Names, (separator, price): (char, Price), pairs: &mut Pairs) {
        let line = |item: &Item| match price {
            Price::Piece => piece(item),
            Price::Line => (item.quantity, item.amount),
        };
        let money = |amount| match self.dialect.money(amount, self.postback) {
            Written::Text(text) | Written::Raw(text) => text,
        };
        let text = |text: &Option<String>| text.as_deref().map(|text| text.replace(separator, " "));
        let list = |part: &dyn Fn(&Item) -> Option<String>| {
            let parts: Vec<Option<String>> = items.iter().map(part).collect();
            let sent = parts.iter().any(Option::is_some);
            let joined = parts
                .into_iter()
                .map(Option::unwrap_or_default)
                .collect::<Vec<_>>()
                .join(separator.to_string().as_str());
            sent.then_some(joined)
        };
        for (name, list) in [
            (names.sku, list(&|item| text(&item.sku))),
            (
                names.quantity,
                list(&|item| line(item).0.map(|quantity| quantity.to_string())),
            ),
            (names.amount, list(&|item| line(item).1.map(money))),
            (names.name, list(&|item| text(&item.name))),
        ] {
            if let Some(list) = list.filter(|_| !name.is_empty()) {
                pairs.push((name.to_owned(), Written::Text(list)));
            }
        }
    }

    fn tradedoubler(&self, item: &Item) -> String {
        let text = |text: &Option<String>| text.as_deref().map(|text| text.replace(['|', '&'], " "));
        let (quantity, price) = piece(item);
        let fields = [
            ("f1", text(&item.sku)),
            ("f2", text(&item.name)),
            ("f3", price.map(|price| price.to_string())),
            ("f4", quantity.map(|quantity| quantity.to_string())),
        ];
        let sent = fields
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", value?)));
        sent.collect::<Vec<_>>().join("&")
    }

    fn awin(&self, number: usize, item: &Item) -> (String, Written) {
        let text = |text: &Option<String>| text.as_deref().map(without_bars).unwrap_or_default();
        let (quantity, price) = piece(item);
        let fields = [
            "AW:P".to_owned(),
            text(&self.postback.reference),
            text(&self.postback.order_id),
            text(&item.sku),
            text(&item.name),
            price.map(|price| price.to_string()).unwrap_or_default(),
            quantity.map(|quantity| quantity.to_string()).unwrap_or_default(),
            text(&item.sku),
            text(&item.category),
            String::new(),
        ];
        (format!("bd[{number}]"), Written::Text(fields.join("|")))
    }
}

/// Quantity and price per piece; a line whose amount is not divisible counts as one piece.
fn piece(item: &Item) -> (Option<u32>, Option<Amount>) {
    let (Some(quantity), Some(amount)) = (item.quantity, item.amount) else {
        return (item.quantity, item.amount);
    };
    match i64::from(quantity) {
        pieces if pieces > 0 && amount.micros % pieces == 0 => {
            let micros = amount.micros / pieces;
            (Some(quantity), Some(Amount { micros }))
        }
        _ => (Some(1), Some(amount)),
    }
}
