//! What is built for a system reads back as what was to be said, for every system and every field it carries.

use std::collections::BTreeSet;

use chrono::DateTime;
use dialects::{
    Amount, CustomerType, Dialect, Field, Intent, Item, Postback, State, Wish, all, is_placeholder,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

/// The dialects whose order amount is the sum of their items and nothing else.
const ONLY_ITEMS: [&str; 2] = ["partnerize", "rakuten"];

fn text() -> impl Strategy<Value = String> {
    "[^\u{0}]{1,20}".prop_filter("placeholder", |text| !is_placeholder(text))
}

fn click() -> impl Strategy<Value = String> {
    "[A-Za-z0-9_.:/-]{1,40}".prop_filter("placeholder", |text| !is_placeholder(text))
}

fn amount() -> impl Strategy<Value = Amount> {
    // Whole thousands of coins, so that every currency has them and they divide.
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
    fn who()(
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
    fn anything()(
        base in who(),
        amount in of(amount()), discount in of(amount()), commission in of(amount()), revenue in of(amount()),
        rate in of(0_u32..2_000_000), currency in of(prop_oneof![Just("EUR"), Just("JPY"), Just("KWD")]),
        intent in intent(), items in vec(item(), 0..4), subs in proptest::array::uniform5(of(text())),
        minutes in of(17_000_000_i64..60_000_000),
    ) -> Postback {
        Postback {
            amount, discount, commission, revenue, intent, items, subs,
            commission_rate_ppm: rate,
            currency: currency.map(str::to_owned),
            event_time: minutes.and_then(|minutes| DateTime::from_timestamp(minutes * 60, 0)),
            ..base
        }
    }
}

prop_compose! {
    fn postback()(
        base in anything(),
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

/// What of a postback a dialect can say.
fn restricted(
    dialect: &Dialect,
    mut said: Postback,
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
    said.click_ids.truncate(clicks);
    said.affiliate_key = only(said.affiliate_key, Field::AffiliateKey);
    said.reference = only(said.reference, Field::Reference);
    said.goal = only(said.goal, Field::Goal);
    said.parent_goal = only(said.parent_goal, Field::ParentGoal);
    said.order_id = only(said.order_id, Field::OrderId);
    said.currency = only(said.currency, Field::Currency);
    said.coupon = only(said.coupon, Field::Coupon);
    said.country = only(said.country, Field::Country);
    said.customer_id = only(said.customer_id, Field::CustomerId);
    said.token = only(said.token, Field::Token);
    said.signature = only(said.signature, Field::Signature);
    said.timestamp = only(said.timestamp, Field::Timestamp);
    said.amount = money(said.amount, Field::Amount);
    said.discount = money(said.discount, Field::Discount);
    said.commission = money(said.commission, Field::Commission);
    said.revenue = money(said.revenue, Field::Revenue);
    said.commission_rate_ppm = said
        .commission_rate_ppm
        .filter(|_| carries(Field::CommissionPercent));
    said.customer_type = said.customer_type.filter(|_| carries(Field::CustomerType));
    // Post Affiliate Pro says the time only inside of a sale.
    said.event_time = said
        .event_time
        .filter(|_| carries(Field::EventTime) && dialect.key != "pap");
    said.is_test &= carries(Field::Test);
    for (number, sub) in (1..).zip(said.subs.iter_mut()) {
        *sub = sub
            .take()
            .filter(|_| carries(Field::Sub(number)) || carries(Field::SubList));
    }
    said.wish = match said.wish {
        Wish::Text(text) if carries(Field::Return) => Wish::Text(text),
        Wish::Pixel if dialect.key == "clickledger" => Wish::Pixel,
        _ => Wish::Usual,
    };
    if carries(Field::Status) {
        set_status(dialect, &mut said, status);
    }
    with_items(dialect, &mut said);
    agreed(dialect, &mut said);
    said
}

fn set_status(dialect: &Dialect, said: &mut Postback, status: Option<(String, prop::sample::Index)>) {
    let Some((text, index)) = status else { return };
    match dialect.statuses() {
        [] => said.status = Some(text),
        known => {
            let (word, state) = index.get(known);
            said.status = Some((*word).to_owned());
            said.state = Some(*state);
        }
    }
}

/// The parts of items that the dialect has, and an amount that agrees with them where nothing else says it.
fn with_items(dialect: &Dialect, said: &mut Postback) {
    if !dialect.carries().any(|field| field == Field::Items) {
        said.items.clear();
        return;
    }
    for item in &mut said.items {
        if matches!(dialect.key, "cj" | "rakuten") {
            item.category = None;
        }
        if dialect.key == "cj" {
            item.name = None;
        }
    }
    let sum = || {
        said.items
            .iter()
            .filter_map(|item| item.amount)
            .map(|amount| amount.micros)
            .sum()
    };
    let summed = (!said.items.is_empty()).then(|| Amount { micros: sum() });
    match dialect.key {
        key if ONLY_ITEMS.contains(&key) => said.amount = summed,
        "clickledger" => {}
        _ => said.amount = said.amount.or(summed),
    }
}

/// What a dialect says only together.
fn agreed(dialect: &Dialect, said: &mut Postback) {
    let category = said.items.first().and_then(|item| item.category.clone());
    let one_category = said.items.iter().all(|item| item.category == category);
    match dialect.key {
        "partnerize" => said.goal = category.filter(|_| one_category),
        "awin" if said.amount.is_none() => said.goal = None,
        "awin" if !said.items.is_empty() => said.goal = category.filter(|_| one_category),
        "partnerstack_s2s" | "dub" => {
            said.goal.get_or_insert("sale".to_owned());
        }
        "clickmeter" if said.commission_rate_ppm.is_some() => said.commission = None,
        _ => {}
    }
    if dialect.key == "impact" {
        let reversed = said.status.is_some();
        said.intent = if reversed { Intent::Update } else { Intent::Report };
        said.state = reversed.then_some(State::Rejected);
    } else if dialect.build("", said).is_none() {
        said.intent = Intent::Report;
    }
    if dialect.key == "firstpromoter" {
        said.goal = (said.intent == Intent::Report).then(|| match said.amount {
            Some(_) => "sale".to_owned(),
            None => "signup".to_owned(),
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn what_is_built_reads_back((said, status) in postback()) {
        for dialect in all() {
            let said = restricted(dialect, said.clone(), status.clone());
            let base = "https://receiver.example/";
            let call = dialect.build(base, &said);
            let call = call.ok_or_else(|| TestCaseError::fail(format!("{} builds nothing", dialect.key)))?;
            let received = call.as_received(base);
            let (read, problem) = dialect.parse(&received);
            prop_assert_eq!(problem, None, "{}: {:?}", dialect.key, &call);
            prop_assert_eq!(&read, &said, "{}: {:?}", dialect.key, &call);
        }
    }
}

#[test]
fn an_order_without_a_basket_is_one_item_where_there_is_nothing_else() {
    let said = Postback {
        click_ids: vec!["c1".into()],
        goal: Some("sale".into()),
        amount: Amount::parse("12.50").ok(),
        ..Postback::default()
    };
    let call = dialects::of_key("partnerize")
        .and_then(|dialect| dialect.build("https://prf.hn", &said))
        .unwrap();
    assert_eq!(
        call.url,
        "https://prf.hn/conversion/tracking_mode:api/clickref:c1/[category:sale/value:12.50]"
    );
}

#[test]
fn what_a_system_cannot_be_told_is_not_sent() {
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
fn json_amounts_are_numbers_or_text_as_the_system_wants_them() {
    let said = Postback {
        click_ids: vec!["c1".into()],
        goal: Some("sale".into()),
        amount: Amount::parse("12.50").ok(),
        currency: Some("EUR".into()),
        ..Postback::default()
    };
    let body = |key| {
        dialects::of_key(key)
            .and_then(|dialect| dialect.build("", &said))
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
fn a_built_call_is_recognised_as_its_own() {
    let said = Postback {
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
        // Keitaro's address ends with a key.
        let base = if dialect.key == "keitaro" {
            "https://r.example/0a1b"
        } else {
            "https://r.example"
        };
        let call = dialect.build(base, &said).unwrap();
        let received = call.as_received("https://r.example");
        let recognised = dialects::of_call(&received).map(|recognised| recognised.key);
        assert_eq!(recognised, Some(dialect.key), "{}", call.url);
    }
}
