//! The basket of an order: amounts by category, reconciled with the order's amount.

use serde::{Deserialize, Serialize};

/// Amount of the items of a category.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Category; `None` if none was sent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub category: Option<String>,
    /// Amount in micro-units.
    pub amount: i64,
}

impl Line {
    /// The part of an order that is in no item.
    pub(crate) fn rest(amount: i64) -> Self {
        Self {
            category: None,
            amount,
        }
    }

    fn is_of(&self, category: Option<&str>) -> bool {
        match (self.category.as_deref(), category) {
            (Some(own), Some(category)) => own.eq_ignore_ascii_case(category),
            (None, None) => true,
            _ => false,
        }
    }
}

/// Category and amount in micro-units of an item as sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Item<'a> {
    /// Category; `None` if none was sent.
    pub category: Option<&'a str>,
    /// Amount in micro-units, negative for a discount; `None` if none was sent.
    pub amount_micros: Option<i64>,
}

/// Sums items by category. Discounts without a category, and those that exceed their category, are taken off all others
/// in proportion.
///
/// # Errors
/// Returns a message if an item has no amount, or if the discounts exceed the items.
pub fn lines(items: &[Item<'_>]) -> Result<Vec<Line>, &'static str> {
    let mut lines: Vec<Line> = Vec::new();
    for item in items {
        let amount = item.amount_micros.ok_or("an item has no amount")?;
        match lines.iter_mut().find(|line| line.is_of(item.category)) {
            Some(line) => line.amount = line.amount.checked_add(amount).ok_or("the items are too large")?,
            None => lines.push(Line {
                category: item.category.map(str::to_owned),
                amount,
            }),
        }
    }
    let total: i128 = lines.iter().map(|line| i128::from(line.amount)).sum();
    let total = i64::try_from(total).map_err(|_| "the items are too large")?;
    if total < 0 {
        return Err("the discounts exceed the items");
    }
    if lines.iter().any(|line| line.amount < 0) {
        lines.retain(|line| line.amount >= 0);
        scale(&mut lines, total);
    }
    Ok(lines)
}

/// Categories of an order as one text: each once whatever its case, sorted, separated by commas; `None` without any.
#[must_use]
pub fn categories<'a>(sent: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut named: Vec<&str> = sent
        .map(str::trim)
        .filter(|category| !category.is_empty())
        .collect();
    named.sort_by_cached_key(|category| category.to_lowercase());
    named.dedup_by(|one, other| one.to_lowercase() == other.to_lowercase());
    (!named.is_empty()).then(|| named.join(", "))
}

/// Makes lines add up to the amount of their order: an order that is less was discounted as a whole, in proportion; what
/// it is more, such as the shipping, is a separate line.
#[must_use]
pub fn reconciled(mut lines: Vec<Line>, amount: i64) -> Vec<Line> {
    let total: i128 = lines.iter().map(|line| i128::from(line.amount)).sum();
    match i64::try_from(i128::from(amount) - total) {
        Ok(rest @ 1..) => lines.push(Line::rest(rest)),
        Ok(0) => {}
        _ => scale(&mut lines, amount),
    }
    lines
}

/// Scales lines in proportion, so that they add up to this amount; the rest of the division goes to the largest
/// remainders.
pub(crate) fn scale(lines: &mut [Line], amount: i64) {
    let total: i128 = lines.iter().map(|line| i128::from(line.amount)).sum();
    if total == 0 {
        if let Some(first) = lines.first_mut() {
            first.amount = amount;
        }
        return;
    }
    let mut left = amount;
    let mut remainders: Vec<(i128, usize)> = Vec::with_capacity(lines.len());
    for (at, line) in lines.iter_mut().enumerate() {
        let product = i128::from(line.amount) * i128::from(amount);
        remainders.push((-(product % total), at));
        line.amount = i64::try_from(product / total).unwrap_or(i64::MAX);
        left -= line.amount;
    }
    remainders.sort_unstable();
    for (_, at) in remainders {
        if left == 0 {
            break;
        }
        if let Some(line) = lines.get_mut(at) {
            line.amount += 1;
            left -= 1;
        }
    }
}

/// Returned items of a refund of this amount: items that are more were discounted, and are scaled down to it.
#[must_use]
pub(crate) fn refunded(mut lines: Vec<Line>, refund: i64) -> Vec<Line> {
    let total: i128 = lines.iter().map(|line| i128::from(line.amount)).sum();
    if total > i128::from(refund) {
        scale(&mut lines, refund);
    }
    lines
}

/// Takes the returned items off the lines of their categories; more than a category has is taken off all in proportion.
#[must_use]
pub(crate) fn returned(mut lines: Vec<Line>, returns: &[Line]) -> Vec<Line> {
    let mut excess = 0_i64;
    for back in returns {
        let same = |line: &&mut Line| line.is_of(back.category.as_deref());
        let taken = lines.iter_mut().find(same).map_or(0, |line| {
            let taken = line.amount.min(back.amount);
            line.amount -= taken;
            taken
        });
        excess = excess.saturating_add(back.amount - taken);
    }
    // A category of which nothing is left has no part in the order any more: its fixed sum is not paid.
    let is_left =
        |line: &Line| line.amount > 0 || !returns.iter().any(|back| line.is_of(back.category.as_deref()));
    lines.retain(is_left);
    let total: i64 = lines.iter().map(|line| line.amount).sum();
    if excess > 0 {
        scale(&mut lines, total.saturating_sub(excess).max(0));
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn item(category: &'static str, amount: i64) -> Item<'static> {
        Item {
            category: (!category.is_empty()).then_some(category),
            amount_micros: Some(amount),
        }
    }

    fn sums(lines: &[Line]) -> Vec<(&str, i64)> {
        let sum = |line: &'_ Line| line.amount;
        lines
            .iter()
            .map(|line| (line.category.as_deref().unwrap_or_default(), sum(line)))
            .collect()
    }

    #[test]
    fn a_discount_is_taken_off_its_category_or_off_all_in_proportion() {
        let basket = lines(&[item("a", 60), item("b", 40), item("A", -10)]).unwrap();
        assert_eq!(sums(&basket), [("a", 50), ("b", 40)]);
        let basket = lines(&[item("a", 60), item("b", 40), item("", -10)]).unwrap();
        assert_eq!(sums(&basket), [("a", 54), ("b", 36)]);
        assert!(lines(&[item("a", 5), item("", -10)]).is_err());
    }

    #[test]
    fn a_smaller_order_was_discounted_in_proportion_and_a_larger_one_has_more_than_its_items() {
        let basket = lines(&[item("a", 60), item("b", 40)]).unwrap();
        assert_eq!(sums(&reconciled(basket.clone(), 90)), [("a", 54), ("b", 36)]);
        assert_eq!(sums(&reconciled(basket, 107)), [("a", 60), ("b", 40), ("", 7)]);
    }

    #[test]
    fn a_return_is_taken_off_its_category() {
        let basket = lines(&[item("a", 60), item("b", 40)]).unwrap();
        let back = |items: &[Item<'_>]| lines(items).unwrap();
        assert_eq!(
            sums(&returned(basket.clone(), &back(&[item("a", 60)]))),
            [("b", 40)]
        );
        assert_eq!(
            sums(&returned(basket.clone(), &back(&[item("c", 50)]))),
            [("a", 30), ("b", 20)]
        );
        assert_eq!(
            sums(&returned(basket.clone(), &back(&[item("A", 60)]))),
            [("b", 40)]
        );
        let half = refunded(back(&[item("a", 60)]), 30);
        assert_eq!(sums(&returned(basket, &half)), [("a", 30), ("b", 40)]);
    }

    proptest! {
        #[test]
        fn scaled_lines_add_up(amounts in prop::collection::vec(0_i64..1_000_000_000, 1..8), amount in 0_i64..10_000_000_000) {
            let mut lines: Vec<Line> = amounts.iter().map(|amount| Line::rest(*amount)).collect();
            scale(&mut lines, amount);
            prop_assert_eq!(lines.iter().map(|line| line.amount).sum::<i64>(), amount);
            prop_assert!(lines.iter().all(|line| line.amount >= 0));
        }
    }
}
