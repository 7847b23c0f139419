//! Reading of the click IDs that a postback names, and explanation of those that are none.

use campaigns::Route;
use campaigns::click_id::{ClickId, ClickIdFlaw, ClickIds, LENGTH};
use chrono::{DateTime, Utc};
use dialects::{Field, Postback};
use schema::LinkId;
use schema::clock::in_words;
use tenancy::networks::Network;

use crate::record::PostbackRecord;
use crate::trace::Trace;
use crate::verdict::{Reason, Verdict};

/// Most recent of the clicks that a postback names. IDs of clicks through the links in `lenient` may differ in letter
/// case.
///
/// # Errors
/// The verdict when none of them is genuine; it explains the first one.
pub(crate) fn read_clicks(
    click_ids: &ClickIds,
    network: &Network,
    record: &PostbackRecord,
    lenient: &[LinkId],
) -> Result<ClickId, Verdict> {
    let postback = &record.postback;
    let own = record.dialect().name_of(Field::ClickId).unwrap_or("click_id");
    let read = |text: &str| match click_ids.read(text, network.id, network.click_key) {
        Err(ClickIdFlaw::LetterCase { correct }) if !lenient.is_empty() => {
            let click = click_ids.read(&correct, network.id, network.click_key)?;
            if lenient.contains(&click.link_id()) {
                Ok(click)
            } else {
                Err(ClickIdFlaw::LetterCase { correct })
            }
        }
        other => other,
    };
    let genuine = postback.click_ids.iter().filter_map(|text| read(text).ok());
    if let Some(click) = genuine.max_by_key(|click| click.clicked_at()) {
        return Ok(click);
    }
    let elsewhere = || find_elsewhere(postback, |text| read(text).is_ok());
    match postback.click_ids.first() {
        None => Err(match elsewhere() {
            Some(name) => {
                let message = format!("{own} is missing, but {name} holds one of our click IDs.");
                Verdict::with_message(Reason::ClickIdMissing, message)
                    .with_hint(format!(
                        "This format calls it {own}: send the value of {name} as {own}."
                    ))
                    .with_their_names()
            }
            None if postback.is_click_empty => {
                let message = format!("{own} is empty.");
                Verdict::with_message(Reason::ClickIdMissing, message)
            }
            None => Verdict::of(Reason::ClickIdMissing),
        }),
        Some(text) => Err(match elsewhere() {
            Some(name) => {
                let message = format!("No click has the ID {text}, but {name} holds one of our click IDs.");
                Verdict::with_message(Reason::ClickNotFound, message)
                    .with_hint(format!("Send the value of {name} as {own}."))
                    .with_their_names()
            }
            None => match read(text) {
                Ok(_) => Verdict::of(Reason::ClickNotFound),
                Err(flaw) => explain(text, &flaw, |text| read(text).is_ok()),
            },
        }),
    }
}

/// Name of another parameter that holds a genuine click ID.
fn find_elsewhere(postback: &Postback, is_genuine: impl Fn(&str) -> bool) -> Option<String> {
    let subs = postback.subs.iter().enumerate();
    let subs = subs.filter_map(|(at, sub)| Some((format!("sub{}", at + 1), sub.as_deref()?)));
    let fields = [
        ("order_id", &postback.order_id),
        ("customer_id", &postback.customer_id),
        ("campaign", &postback.reference),
        ("partner_key", &postback.affiliate_key),
        ("coupon", &postback.coupon),
        ("goal", &postback.goal),
    ];
    let fields = fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value.as_deref()?)));
    let extra = postback
        .extra
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str()));
    fields
        .chain(subs)
        .chain(extra)
        .find(|(_, value)| value.len() == LENGTH && is_genuine(value))
        .map(|(name, _)| name)
}

/// Verdict with the most specific explanation of an invalid click ID. An ID of another network is explained like one that
/// does not exist, so that networks stay hidden from each other.
fn explain(text: &str, flaw: &ClickIdFlaw, is_genuine: impl Fn(&str) -> bool) -> Verdict {
    let bare = text.trim_matches(|c: char| c.is_ascii_punctuation());
    if bare != text && is_genuine(bare) {
        let message = "No click has this ID as sent: it has brackets or quotes around it.";
        return Verdict::with_message(Reason::ClickNotFound, message)
            .with_hint("Send the value alone. A common cause is a macro whose brackets were left in place.");
    }
    if let Some(decoded) = decoded_again(text).filter(|decoded| is_genuine(decoded)) {
        let message =
            format!("No click has this ID as sent: it was percent-encoded twice. Decoded, it is {decoded}.");
        return Verdict::with_message(Reason::ClickNotFound, message)
            .with_hint("Encode each value once. A common cause is encoding a whole URL after its values.");
    }
    let (message, hint) = match flaw {
        ClickIdFlaw::LetterCase { correct } => (
            format!(
                "No click has the ID {text}. The click {correct} exists: the IDs differ only in letter case."
            ),
            "Send the value exactly as received. A common cause is toUpperCase() or a case-insensitive column.",
        ),
        ClickIdFlaw::Padded => (
            "No click has this ID as sent: it has spaces or quotes around it.".to_owned(),
            "Send the value alone, without spaces or quotes.",
        ),
        ClickIdFlaw::Length(length) if *length < LENGTH => (
            format!(
                "No click has this ID: it has {length} characters instead of {LENGTH}, so it was truncated."
            ),
            "Use a longer column to store it: one of 32 or 40 characters truncates it.",
        ),
        ClickIdFlaw::Length(length) => (
            format!("No click has this ID: it has {length} characters instead of {LENGTH}."),
            "Check that your systems append nothing to it.",
        ),
        ClickIdFlaw::NotGenuine | ClickIdFlaw::OtherNetwork => (
            "No click has this ID: its format is right, but this network did not issue it.".to_owned(),
            Reason::ClickNotFound.fix(),
        ),
        ClickIdFlaw::NotOurs => (
            "No click has this ID, and it is not in our format.".to_owned(),
            "Check that click_id has the value of the landing page's click_id parameter, not an ID of your system.",
        ),
    };
    Verdict::with_message(Reason::ClickNotFound, message).with_hint(hint)
}

/// Value that was percent-encoded twice, decoded once more; `None` if it was not.
fn decoded_again(text: &str) -> Option<String> {
    let encoded = text.contains('%').then(|| format!("v={text}"))?;
    let (_, value) = dialects::decode_pairs(&encoded).next()?.ok()?;
    Some(
        value
            .trim_matches(|c: char| c.is_whitespace() || c == '"')
            .to_owned(),
    )
}

/// Adds the click to the trace.
pub(crate) fn trace_click(
    trace: &mut Trace,
    click: ClickId,
    route: &Route,
    received_at: DateTime<Utc>,
    others: usize,
) {
    let age = in_words(received_at - click.clicked_at());
    let several = match others {
        0 | 1 => String::new(),
        sent => format!("; the most recent of {sent} that were sent"),
    };
    trace.pass(
        "click",
        format!(
            "genuine, {age} old, through link {} of {}{several}",
            route.link_id, route.affiliate_id
        ),
    );
}
