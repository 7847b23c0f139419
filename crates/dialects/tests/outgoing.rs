//! Templates of partner postbacks, and the URLs for senders.

use dialects::{Field, Macro, RawCall, State, Template, TemplateProblem, native, of_key, senders, template};
use proptest::prelude::*;

#[test]
fn every_trackers_template_parses_in_its_own_dialect() {
    let templates: Vec<_> = template::outgoing().collect();
    assert_eq!(templates.len(), 12);
    for outgoing in templates {
        let key = outgoing.dialect.key;
        let text = outgoing.at("https://tracker.example/");
        let template = Template::parse(&text).unwrap();
        assert_eq!(template.to_string(), text);
        let url = template.expand(&|one| match one {
            Macro::Status => Some(outgoing.dialect.word_for(State::Approved).to_owned()),
            other => Some(other.sample().to_owned()),
        });
        let target = url.strip_prefix("https://tracker.example").unwrap();
        let (read, problem) = outgoing.dialect.parse(&RawCall::get(target));
        assert_eq!(problem, None, "{key}");
        assert_eq!(read.click_ids, [Macro::AffClickId.sample()], "{key}");
        assert_eq!(read.extra, [], "{key}");
        if template.macros().any(|one| one == Macro::Status) {
            assert_eq!(read.state, Some(State::Approved), "{key}");
        }
    }
}

#[test]
fn states_are_sent_in_the_receivers_words() {
    let words = |key: &str| {
        let dialect = of_key(key).unwrap();
        [State::Approved, State::Pending, State::Held, State::Rejected].map(|state| dialect.word_for(state))
    };
    assert_eq!(words("keitaro"), ["sale", "lead", "lead", "rejected"]);
    assert_eq!(words("affise"), ["1", "2", "5", "3"]);
    assert_eq!(words("voluum"), ["approved", "pending", "held", "rejected"]);
}

#[test]
fn an_invalid_template_is_refused_with_its_offset() {
    use TemplateProblem::{MacroInHost, NotAUrl, NotInUrls, Stray, TooLong, Unclosed, Unknown};
    let unknown = |name: &str, at| Unknown {
        name: name.into(),
        at,
    };
    for (text, problem) in [
        ("", NotAUrl),
        ("t.example/?a={payout}", NotAUrl),
        ("ftp://t.example/", NotAUrl),
        ("https:///path", NotAUrl),
        ("https://{aff_click_id}.example/", MacroInHost { at: 8 }),
        ("https://t.example:{payout}/", MacroInHost { at: 18 }),
        ("https://t.example/?a={Payout}", unknown("Payout", 21)),
        ("https://t.example/?a={}", unknown("", 21)),
        ("https://t.example/?a={payout", Unclosed { at: 21 }),
        ("https://t.example/?a={{payout}}", Unclosed { at: 21 }),
        ("https://t.example/?a=payout}", Stray { at: 27 }),
        ("https://t.example/?a=b c", NotInUrls { at: 22 }),
        ("https://t.example/?a=caf\u{e9}", NotInUrls { at: 24 }),
        ("https://t.example/\n", NotInUrls { at: 18 }),
        ("https://t.example\\@evil/", NotInUrls { at: 17 }),
    ] {
        assert_eq!(Template::parse(text), Err(problem), "{text}");
    }
    assert_eq!(
        Template::parse(&format!("https://t.example/{}", "a".repeat(2048))),
        Err(TooLong)
    );
}

#[test]
fn every_macro_has_a_name_a_meaning_and_a_sample() {
    for one in Macro::all() {
        assert_eq!(Macro::of_name(one.name()), Some(one));
        assert!(!one.meaning().is_empty() && !one.sample().is_empty());
    }
    assert_eq!(Macro::all().count(), 26);
}

proptest! {
    #[test]
    fn no_value_escapes_its_place(value in any::<String>()) {
        let template = Template::parse("https://t.example/{order_id}?a={payout}&b=1").unwrap();
        let url = template.expand(&|_| Some(value.clone()));
        prop_assert!(url.starts_with("https://t.example/"));
        prop_assert_eq!(url.matches('&').count(), 1);
        prop_assert_eq!(url.matches('?').count(), 1);
        prop_assert_eq!(url.matches('/').count(), 3);
        prop_assert!(url.is_ascii() && !url.contains(['\r', '\n', '#', ' ']));
    }
}

#[test]
fn a_senders_url_has_its_macros_and_its_preview_parses() {
    for sender in senders::all() {
        let url = sender.url("https://t.example/", Some("s3cret/"));
        assert!(url.starts_with("https://t.example/postback?click_id="), "{url}");
        assert!(url.ends_with("&token=s3cret%2F"), "{url}");
        for one in sender.macros {
            assert!(
                url.contains(&format!("{}={}", one.field.label(), one.text)),
                "{url}"
            );
            assert_eq!(native().meaning(one.field.label()), one.field);
        }
        let preview = sender.preview("https://t.example", Some("s3cret/"));
        let (read, problem) =
            native().parse(&RawCall::get(preview.strip_prefix("https://t.example").unwrap()));
        assert_eq!(problem, None, "{preview}");
        assert_eq!(read.click_ids.len(), 1);
        assert_eq!(read.extra, [], "{preview}");
    }
}

#[test]
fn a_senders_url_may_have_some_of_its_fields() {
    let flexoffers = senders::of_key("flexoffers").unwrap();
    assert_eq!(
        flexoffers.url_with("https://t.example", None, &[Field::ClickId, Field::Amount]),
        "https://t.example/postback?click_id=#fobs#&amount=#sa#"
    );
    // Sent with its macros unreplaced, the call is refused.
    let everflow = senders::of_key("everflow").unwrap().url("", None);
    let (_, problem) = native().parse(&RawCall::get(&everflow));
    assert!(matches!(problem, Some(dialects::Problem::MacroUnreplaced { .. })));
}
