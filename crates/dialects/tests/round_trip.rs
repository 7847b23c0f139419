//! Round trips: a built call parses to the same postback, for every dialect and every field it carries.

use std::collections::BTreeSet;

use chrono::DateTime;
use dialects::{
    Amount, CustomerType, Dialect, Field, Intent, Item, Postback, Problem, State, Wish, all, is_placeholder,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

/// Dialects whose order amount is always the sum of their items.
const ONLY_ITEMS: [&str; 3] = ["partnerize", "rakuten", "refersion"];

fn text() -> impl Strategy<Value = String> {
    // Spaces around a value say nothing.
    "[^\u{0}]{1,20}"
        .prop_map(|text| text.trim().to_owned())
        .prop_filter("placeholder", |text| !text.is_empty() && !is_placeholder(text))
}

fn click() -> impl Strategy<Value = String> {
    "[A-Za-z0-9_.:/-]{1,40}".prop_filter("placeholder", |text| !is_placeholder(text))
}

fn amount() -> impl Strategy<Value = Amount> {
    // Whole thousands, so that every currency has them and they are divisible.
    (0_i64..1_000_000).prop_map(|units| Amount {
        micros: units * 1_000_000,
    })
}

fn item() -> impl Strategy<Value = Item> {
    let text = || of("[^\u{0}|]{1,20}");
    let quantity = of(1_u32..50);
    (text(), text(), text(), quantity, 0_i64..10_000).prop_map(|(sku, category, name, quantity, price)| {
        Item {
            sku,
            category,
            name,
            quantity,
            amount: Some(Amount {
                micros: price * 1_000_000 * i64::from(quantity.unwrap_or(1)),
            }),
        }
    })
}

fn wish() -> impl Strategy<Value = Wish> {
    prop_oneof![
        Just(Wish::Usual),
        Just(Wish::Pixel),
        "[ -~]{1,64}".prop_map(Wish::Text)
    ]
}

fn intent() -> impl Strategy<Value = Intent> {
    prop_oneof![
        Just(Intent::Report),
        Just(Intent::Update),
        Just(Intent::Upsert),
        Just(Intent::Refund)
    ]
}

prop_compose! {
    fn attributed()(
        click_ids in vec(click(), 0..4),
        affiliate_key in of(text()), reference in of(text()), goal in of(text()), parent_goal in of(text()),
        order_id in of(text()), coupon in of(text()), country in of(text()), customer_id in of(text()),
        customer_type in of(prop_oneof![Just(CustomerType::New), Just(CustomerType::Existing)]),
    ) -> Postback {
        Postback {
            click_ids, affiliate_key, reference, goal, parent_goal, order_id, coupon, country, customer_id,
            customer_type, ..Postback::default()
        }
    }
}

prop_compose! {
    fn any_postback()(
        base in attributed(),
        amount in of(amount()), discount in of(amount()), commission in of(amount()), revenue in of(amount()),
        remaining in of(amount()), event_id in of(text()),
        rate in of(0_u32..2_000_000), currency in of(prop_oneof![Just("EUR"), Just("JPY"), Just("KWD")]),
        intent in intent(), items in vec(item(), 0..4), subs in proptest::array::uniform5(of(text())),
        minutes in of(17_000_000_i64..60_000_000),
    ) -> Postback {
        Postback {
            amount, discount, commission, revenue, intent, items, subs, remaining, event_id,
            commission_rate_ppm: rate,
            currency: currency.map(str::to_owned),
            event_time: minutes.and_then(|minutes| DateTime::from_timestamp(minutes * 60, 0)),
            ..base
        }
    }
}

prop_compose! {
    fn postback()(
        base in any_postback(),
        is_test in any::<bool>(), token in of("[!-~]{1,30}"), signature in of(text()), timestamp in of(text()),
        wish in wish(), extra in vec(("zz_[a-z]{1,6}", "[^\u{0};]{0,20}"), 0..4),
        status in of((text(), any::<prop::sample::Index>())),
    ) -> (Postback, Option<(String, prop::sample::Index)>) {
        let mut names = BTreeSet::new();
        let extra = extra.into_iter().filter(|(name, _)| names.insert(name.clone())).collect();
        let token = token.filter(|token| !is_placeholder(token));
        (Postback { is_test, token, signature, timestamp, wish, extra, ..base }, status)
    }
}

/// The part of a postback that a dialect can carry.
fn restricted(
    dialect: &Dialect,
    mut postback: Postback,
    status: Option<(String, prop::sample::Index)>,
) -> Postback {
    let carries = |field| dialect.carries().any(|carried| carried == field);
    let only = |text: Option<String>, field| text.filter(|_| carries(field));
    let money = |amount: Option<Amount>, field| amount.filter(|_| carries(field));
    let clicks = match dialect.key {
        "clickledger" | "webgains" => 10,
        _ if carries(Field::ClickId) => 1,
        _ => 0,
    };
    postback.click_ids.truncate(clicks);
    postback.affiliate_key = only(postback.affiliate_key, Field::AffiliateKey);
    postback.reference = only(postback.reference, Field::Reference);
    postback.goal = only(postback.goal, Field::Goal);
    postback.parent_goal = only(postback.parent_goal, Field::ParentGoal);
    postback.order_id = only(postback.order_id, Field::OrderId);
    postback.currency = only(postback.currency, Field::Currency);
    postback.event_id = only(postback.event_id, Field::EventId);
    postback.coupon = only(postback.coupon, Field::Coupon);
    postback.country = only(postback.country, Field::Country);
    postback.customer_id = only(postback.customer_id, Field::CustomerId);
    postback.token = only(postback.token, Field::Token);
    if matches!(
        dialect.key,
        "impact" | "partnerstack_action" | "partnerstack_customer" | "partnerstack_transaction"
    ) {
        // Of a user and a password, the password is the token.
        postback.token = postback.token.filter(|token| !token.contains(':'));
    }
    postback.signature = only(postback.signature, Field::Signature);
    postback.timestamp = only(postback.timestamp, Field::Timestamp);
    postback.amount = money(postback.amount, Field::Amount);
    postback.discount = money(postback.discount, Field::Discount);
    postback.remaining = money(postback.remaining, Field::Remaining);
    postback.commission = money(postback.commission, Field::Commission);
    postback.revenue = money(postback.revenue, Field::Revenue);
    postback.commission_rate_ppm = postback
        .commission_rate_ppm
        .filter(|_| carries(Field::CommissionPercent));
    postback.customer_type = postback.customer_type.filter(|_| carries(Field::CustomerType));
    // Post Affiliate Pro carries the time only inside a sale.
    postback.event_time = postback
        .event_time
        .filter(|_| carries(Field::EventTime) && dialect.key != "pap");
    postback.is_test &= carries(Field::Test);
    for (number, sub) in (1..).zip(postback.subs.iter_mut()) {
        *sub = sub
            .take()
            .filter(|_| carries(Field::Sub(number)) || carries(Field::SubList));
    }
    postback.wish = match postback.wish {
        Wish::Text(text) if carries(Field::Return) => Wish::Text(text),
        Wish::Pixel if dialect.key == "clickledger" => Wish::Pixel,
        _ => Wish::Usual,
    };
    if carries(Field::Status) {
        set_status(dialect, &mut postback, status);
    }
    let is_minor = matches!(
        dialect.key,
        "dub" | "firstpromoter" | "rakuten" | "tolt" | "partnerstack_transaction"
    );
    postback.is_in_hundredths = is_minor && postback.currency.is_none();
    with_items(dialect, &mut postback);
    agreed(dialect, &mut postback);
    postback
}

fn set_status(dialect: &Dialect, postback: &mut Postback, status: Option<(String, prop::sample::Index)>) {
    let Some((text, index)) = status else { return };
    match dialect.statuses() {
        [] => postback.status = Some(text),
        known => {
            let (word, state) = index.get(known);
            postback.status = Some((*word).to_owned());
            postback.state = Some(*state);
        }
    }
}

/// The parts of items that the dialect has, with an amount of the order that agrees with them.
fn with_items(dialect: &Dialect, postback: &mut Postback) {
    if !dialect.carries().any(|field| field == Field::Items) {
        postback.items.clear();
        return;
    }
    for item in &mut postback.items {
        let key = dialect.key;
        if matches!(
            key,
            "cj" | "rakuten" | "tradedoubler" | "shareasale" | "pepperjam" | "refersion"
        ) {
            item.category = None;
        }
        if matches!(key, "cj" | "shareasale" | "pepperjam") {
            item.name = None;
        }
        // The system separates its items by these.
        for text in [&mut item.sku, &mut item.name].into_iter().flatten() {
            *text = text.replace([',', '&'], "-");
        }
    }
    let sum = || {
        postback
            .items
            .iter()
            .filter_map(|item| item.amount)
            .map(|amount| amount.micros)
            .sum::<i64>()
    };
    let discount = postback.discount.map_or(0, |discount| discount.micros);
    let summed = Amount::from_micros(sum() - discount).filter(|_| !postback.items.is_empty());
    match dialect.key {
        key if ONLY_ITEMS.contains(&key) => postback.amount = summed,
        "clickledger" => {}
        _ => postback.amount = postback.amount.or(summed),
    }
}

/// Fields that a dialect can only carry together.
fn agreed(dialect: &Dialect, postback: &mut Postback) {
    let category = postback.items.first().and_then(|item| item.category.clone());
    let one_category = postback.items.iter().all(|item| item.category == category);
    match dialect.key {
        "partnerize" => postback.goal = category.filter(|_| one_category),
        "awin" | "awin_api" if postback.amount.is_none() => postback.goal = None,
        "awin" | "awin_api" if !postback.items.is_empty() => {
            postback.goal = category.filter(|_| one_category)
        }
        "partnerstack_s2s" | "dub" | "leaddyno" => {
            postback.goal.get_or_insert("sale".to_owned());
        }
        "tune" | "offer18" => {
            postback.order_id = postback.order_id.take().or_else(|| postback.subs[0].clone())
        }
        "partnerstack_customer" => postback.goal = Some("signup".to_owned()),
        "tolt" => {
            let goal = if postback.amount.is_some() { "sale" } else { "lead" };
            postback.goal = Some(goal.to_owned());
        }
        "clickmeter" if postback.commission_rate_ppm.is_some() => {
            postback.commission = postback.commission.filter(|fixed| fixed.micros != 0);
        }
        _ => {}
    }
    // A leading # of an order is left off, unless the order is nothing else.
    if let Some(order) = &mut postback.order_id {
        let bare = order.trim_start_matches('#').to_owned();
        *order = if bare.is_empty() { order.clone() } else { bare };
    }
    if dialect.key == "impact" {
        let reversed = postback.status.is_some();
        postback.intent = if reversed { Intent::Update } else { Intent::Report };
        postback.state = reversed.then_some(State::Rejected);
    } else if dialect.build("", postback).is_none() {
        postback.intent = Intent::Report;
    }
    if dialect.key == "firstpromoter" {
        postback.goal = (postback.intent == Intent::Report).then(|| match postback.amount {
            Some(_) => "sale".to_owned(),
            None => "signup".to_owned(),
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn a_built_call_parses_to_the_same_postback((postback, status) in postback()) {
        for dialect in all() {
            let postback = restricted(dialect, postback.clone(), status.clone());
            let base = "https://receiver.example/";
            let call = dialect.build(base, &postback);
            let call = call.ok_or_else(|| TestCaseError::fail(format!("{} builds nothing", dialect.key)))?;
            let received = call.as_received(base);
            let (read, problem) = dialect.parse(&received);
            // A built call has what the postback has; some systems demand more.
            let problem = problem.filter(|problem| !matches!(problem, Problem::Missing { .. }));
            prop_assert_eq!(problem, None, "{}: {:?}", dialect.key, &call);
            prop_assert_eq!(&read, &postback, "{}: {:?}", dialect.key, &call);
        }
    }
}

#[test]
fn an_order_without_items_is_one_item_where_only_items_exist() {
    let postback = Postback {
        click_ids: vec!["c1".into()],
        goal: Some("sale".into()),
        amount: Amount::parse("12.50").ok(),
        ..Postback::default()
    };
    let call = dialects::of_key("partnerize")
        .and_then(|dialect| dialect.build("https://prf.hn", &postback))
        .unwrap();
    assert_eq!(
        call.url,
        "https://prf.hn/conversion/tracking_mode:api/clickref:c1/[category:sale/value:12.50]"
    );
}

#[test]
fn fields_a_dialect_cannot_carry_are_not_sent() {
    let refund = Postback {
        intent: Intent::Refund,
        ..Postback::default()
    };
    let builders: Vec<&str> = all()
        .iter()
        .filter(|dialect| dialect.build("", &refund).is_some())
        .map(|dialect| dialect.key)
        .collect();
    assert_eq!(builders, ["clickledger", "firstpromoter"]);
}

#[test]
fn json_amounts_are_numbers_or_text_as_the_system_documents() {
    let postback = Postback {
        click_ids: vec!["c1".into()],
        goal: Some("sale".into()),
        amount: Amount::parse("12.50").ok(),
        currency: Some("EUR".into()),
        ..Postback::default()
    };
    let body = |key| {
        dialects::of_key(key)
            .and_then(|dialect| dialect.build("", &postback))
            .unwrap()
            .body
    };
    assert_eq!(
        body("trackdesk"),
        r#"{"cid":"c1","conversionTypeCode":"sale","amount":{"value":"12.50","currency":"EUR"}}"#
    );
    assert_eq!(
        body("dub"),
        r#"{"clickId":"c1","eventName":"sale","amount":1250,"currency":"EUR"}"#
    );
    assert_eq!(
        body("webgains"),
        r#"{"ids":[{"name":"s2s","value":"c1"}],"value":12.50,"currency":"EUR","eventId":"sale"}"#
    );
}

#[test]
fn a_built_call_is_recognised_as_its_dialect() {
    let postback = Postback {
        click_ids: vec!["c1".into()],
        goal: Some("sale".into()),
        order_id: Some("A-1".into()),
        amount: Amount::parse("12.50").ok(),
        commission: Amount::parse("2.50").ok(),
        currency: Some("EUR".into()),
        state: Some(State::Approved),
        ..Postback::default()
    };
    for dialect in all() {
        // The path of Keitaro's postback URL starts with a key.
        let base = if dialect.key == "keitaro" {
            "https://r.example/0a1b"
        } else {
            "https://r.example"
        };
        let call = dialect.build(base, &postback).unwrap();
        let received = call.as_received("https://r.example");
        let recognised = dialects::of_call(&received).map(|recognised| recognised.key);
        assert_eq!(recognised, Some(dialect.key), "{}", call.url);
    }
}
