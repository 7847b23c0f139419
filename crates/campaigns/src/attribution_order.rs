//! Proofs that attribute a postback, and the order in which a campaign accepts them.

use schema::{Words, text_enum};

text_enum! {
    /// Proof by which a conversion was attributed to its affiliate.
    pub enum AttributedBy {
        /// The click that the postback names.
        Click = "click",
        /// An earlier conversion of the same customer.
        Customer = "customer",
        /// A coupon code.
        Coupon = "coupon",
        /// The affiliate that the sender names.
        Affiliate = "affiliate",
    }
}

impl AttributedBy {
    /// Order of a campaign that sets none: the visit that led to the order comes first.
    pub const DEFAULT_ORDER: [Self; 4] = [Self::Click, Self::Customer, Self::Coupon, Self::Affiliate];
}

/// Default order as stored.
pub(crate) fn default_order() -> Words {
    Words(
        AttributedBy::DEFAULT_ORDER
            .iter()
            .map(ToString::to_string)
            .collect(),
    )
}

/// Parses an order such as `coupon, click`; an empty text is the default order.
pub(crate) fn check_order(text: &str) -> Result<Words, String> {
    let words = Words::typed(text);
    if words.0.is_empty() {
        return Ok(default_order());
    }
    match words.0.iter().find(|word| word.parse::<AttributedBy>().is_err()) {
        Some(unknown) => Err(format!(
            "“{unknown}” is not a proof. Use {}.",
            default_order().on_one_line()
        )),
        None => Ok(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_names_each_proof_once() {
        assert_eq!(check_order(""), Ok(default_order()));
        assert_eq!(
            check_order("coupon, click, coupon").unwrap().0,
            ["coupon", "click"]
        );
        assert!(
            check_order("click, cookie")
                .unwrap_err()
                .contains("“cookie” is not a proof")
        );
    }
}
