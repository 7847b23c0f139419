//! Values that a stored postback sent, by our names.

use std::borrow::Cow;

use dialects::{CustomerType, Intent, Item, Postback, RawCall};

use crate::stored::StoredPostback;
use crate::target::Target;

/// Values of a stored request, read by today's dialects. Secrets and personal data were removed when it was stored.
#[derive(Debug, Clone, Default)]
pub struct SentValues {
    /// Name and value, in the order of the documentation; only those that were sent.
    pub values: Vec<(Cow<'static, str>, String)>,
    /// Line items.
    pub items: Vec<Item>,
    /// Further parameters, in the order sent.
    pub further: Vec<(String, String)>,
}

impl SentValues {
    /// Values of a stored postback.
    #[must_use]
    pub fn of(stored: &StoredPostback) -> Self {
        let call = RawCall {
            method: &stored.method,
            target: stored
                .target
                .get(Target::of(&stored.target).offset()..)
                .unwrap_or_default(),
            content_type: stored.content_type.as_deref(),
            authorization: None,
            api_key: None,
            body: &stored.body,
        };
        let mut postback = dialects::parse_call(&call).postback;
        postback.order_id.clone_from(&stored.order_id);
        Self {
            values: values(&postback),
            items: postback.items,
            further: postback.extra,
        }
    }
}

fn values(postback: &Postback) -> Vec<(Cow<'static, str>, String)> {
    let sum = |sum: Option<dialects::Amount>| sum.map(|sum| sum.to_string());
    let percent = |ppm: u32| format!("{} %", f64::from(ppm) / 10_000.0);
    let click_id = Some(postback.click_ids.join(", ")).filter(|ids| !ids.is_empty());
    let action = match postback.intent {
        Intent::Report => None,
        Intent::Update => Some("update"),
        Intent::Upsert => Some("report or update"),
        Intent::Refund => Some("refund"),
    };
    let customer_type = postback.customer_type.map(|kind| match kind {
        CustomerType::New => "new",
        CustomerType::Existing => "existing",
    });
    let values = [
        ("click_id", click_id),
        ("campaign", postback.reference.clone()),
        ("goal", postback.goal.clone()),
        ("parent_goal", postback.parent_goal.clone()),
        ("order_id", postback.order_id.clone()),
        ("amount", sum(postback.amount)),
        ("discount", sum(postback.discount)),
        ("remaining", sum(postback.remaining)),
        ("currency", postback.currency.clone()),
        ("commission", sum(postback.commission)),
        ("commission_rate", postback.commission_rate_ppm.map(percent)),
        ("revenue", sum(postback.revenue)),
        ("status", postback.status.clone()),
        ("action", action.map(str::to_owned)),
        ("coupon", postback.coupon.clone()),
        ("partner_key", postback.affiliate_key.clone()),
        ("customer_id", postback.customer_id.clone()),
        ("customer_type", customer_type.map(str::to_owned)),
        ("country", postback.country.clone()),
        ("event_time", postback.event_time.map(|at| at.to_rfc3339())),
        ("event_id", postback.event_id.clone()),
    ];
    let named = values
        .into_iter()
        .map(|(name, value)| (Cow::Borrowed(name), value));
    let subs = postback.subs.iter().enumerate();
    let subs = subs.map(|(at, sub)| (Cow::Owned(format!("sub{}", at + 1)), sub.clone()));
    named
        .chain(subs)
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}
