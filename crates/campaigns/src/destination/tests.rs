//! Destinations: macros, deep links, and what is refused.

use proptest::prelude::*;

use super::*;

fn values<'a>(subs: [&'a str; 5]) -> MacroValues<'a> {
    MacroValues {
        click_id: "k1",
        subs,
        affiliate_id: "aff_1",
        campaign_id: "cmp_1",
        link_id: "lnk_1",
        query: "gclid=A%20b&x=1",
    }
}

#[test]
fn every_macro_is_replaced_and_the_rest_is_unchanged() {
    let text = "https://shop.example/a%20b/{link_id}?x=1&c={click_id}&s={sub1}-{sub5}&a={affiliate_id}&k={campaign_id}#f={sub2}";
    let destination = Destination::parse(text).unwrap();
    assert_eq!(
        destination.expand(&values(["one", "two", "", "", "fünf"])),
        "https://shop.example/a%20b/lnk_1?x=1&c=k1&s=one-f%C3%BCnf&a=aff_1&k=cmp_1#f=two"
    );
}

#[test]
fn macros_in_the_spelling_of_others_are_understood() {
    for written in [
        "{click_id}",
        "%7Bclick_id%7D",
        "%7bclick_id%7d",
        "{{click_id}}",
        "${click_id}",
        "[click_id]",
        "[s2sidentifier]",
        "[clickref]",
        "[[refid]]",
        "[xid]",
    ] {
        let text = format!("https://shop.example/?s1={written}&g={{query:gclid}}&n={{query:none}}");
        let destination = Destination::parse(&text).unwrap();
        let expected = "https://shop.example/?s1=k1&g=A%20b&n=";
        assert_eq!(destination.expand(&values([""; 5])), expected, "{written}");
        let completed = Destination::completed(&text, &sending(&[])).unwrap();
        assert_eq!(completed, destination, "{written}");
    }
}

#[test]
fn an_invalid_destination_is_refused_with_the_reason() {
    use DestinationError::*;
    for (text, error) in [
        ("", NotAUrl),
        ("shop.example/?c={click_id}", NotAUrl),
        ("javascript:alert({click_id})", NotAUrl),
        ("ftp://shop.example/{click_id}", NotAUrl),
        (
            "https://shop.example/?c={clickid}",
            UnknownMacro("clickid".into()),
        ),
        (
            "https://shop.example/?c={CLICK_ID}",
            UnknownMacro("CLICK_ID".into()),
        ),
        ("https://shop.example/?c={}", UnknownMacro(String::new())),
        ("https://shop.example/?c={click_id", LoneBrace),
        ("https://shop.example/?c=click_id}", LoneBrace),
        ("https://shop.example/?c={click_id}}", LoneBrace),
        ("https://{sub1}/?c={click_id}", MacroInHost),
        ("https://shop.example{sub1}/?c={click_id}", MacroInHost),
        ("https://{sub1}@shop.example/?c={click_id}", MacroInHost),
        ("https:///{sub1}/?c={click_id}", MacroInHost),
        ("https:///shop{sub1}.example/?c={click_id}", MacroInHost),
        ("https://shop.example/", NoClickId),
        ("https://shop.example/ ?c={click_id}", BadCharacter(' ')),
        ("https://shop.example/\r\nX: 1?c={click_id}", BadCharacter('\r')),
        ("https://{sub1}.shöp.example/?c={click_id}", MacroInHost),
        ("https://shöp.example/\r\n?c={click_id}", BadCharacter('\r')),
    ] {
        assert_eq!(Destination::parse(text), Err(error), "{text}");
    }
    let long = format!("https://shop.example/?c={{click_id}}&x={}", "y".repeat(2048));
    assert!(matches!(Destination::parse(&long), Err(TooLong(_))));
}

fn sending(hosts: &[&str]) -> Sending {
    Sending {
        click_parameter: Some("clickref".into()),
        deep_link_hosts: Words(hosts.iter().map(|host| (*host).to_owned()).collect()),
        ..Sending::default()
    }
}

#[test]
fn letters_outside_ascii_are_encoded_as_browsers_encode_them() {
    for (typed, sent) in [
        (
            "https://shöp.example/?c={click_id}",
            "https://xn--shp-tna.example/?c={click_id}",
        ),
        (
            "https://SHÖP.example:8443/größe?c={click_id}&a=é#ü",
            "https://xn--shp-tna.example:8443/gr%C3%B6%C3%9Fe?c={click_id}&a=%C3%A9#%C3%BC",
        ),
        (
            "https://shop.example/ö?c={click_id}",
            "https://shop.example/%C3%B6?c={click_id}",
        ),
    ] {
        assert_eq!(Destination::parse(typed), Destination::parse(sent), "{typed}");
        assert!(Destination::parse(typed).is_ok(), "{typed}");
    }
}

#[test]
fn a_deep_link_leads_to_allowed_hosts_only_and_carries_the_click() {
    let home = Destination::parse("https://shop.example/?c={click_id}").unwrap();
    let sending = sending(&["shop.example"]);
    let deep = |page: &str| {
        home.deep(page, &sending)
            .map(|target| target.expand(&values([""; 5])))
    };
    for (page, address) in [
        ("https://shop.example/p/1", "https://shop.example/p/1?clickref=k1"),
        (
            "https://www.shop.example/p?a=1#x",
            "https://www.shop.example/p?a=1&clickref=k1#x",
        ),
        (
            "https://SHOP.example/p/{sub1}",
            "https://shop.example/p/%7Bsub1%7D?clickref=k1",
        ),
        ("https:\\\\shop.example\\p", "https://shop.example/p?clickref=k1"),
        // The click of an earlier visit is replaced.
        (
            "https://shop.example/p?clickref=old&a=1#x",
            "https://shop.example/p?a=1&clickref=k1#x",
        ),
    ] {
        assert_eq!(deep(page).as_deref(), Ok(address), "{page}");
    }
    for page in [
        "https://evil.example/",
        "https://shop.example.evil.example/",
        "https://evilshop.example/",
        "https://shop.example@evil.example/",
        "https://evil.example#@shop.example/",
        "https://evil.example\\@shop.example/",
        "//shop.example/",
        "/p",
        "javascript:alert(1)//shop.example",
        "https://user:pass@shop.example/",
        "https://shop.example:8443/",
        "ftp://shop.example/",
        "",
    ] {
        assert!(deep(page).is_err(), "{page}: {:?}", deep(page));
    }
    let nowhere = Sending::default();
    assert!(matches!(
        home.deep("https://shop.example/", &nowhere),
        Err(DestinationError::HostNotAllowed(_))
    ));
}

#[test]
fn the_click_id_parameter_is_found_in_the_url() {
    let name = |text: &str| {
        Destination::parse(text)
            .unwrap()
            .click_parameter()
            .map(str::to_owned)
    };
    assert_eq!(
        name("https://s.example/?a=1&cid={click_id}&b=2"),
        Some("cid".into())
    );
    assert_eq!(name("https://s.example/?cid={click_id}#x"), Some("cid".into()));
    assert_eq!(name("https://s.example/{click_id}/?a=1"), None);
    assert_eq!(name("https://s.example/?cid=x-{click_id}"), None);
    assert_eq!(name("https://s.example/?cid={click_id}-{sub1}"), None);
}

#[test]
fn hosts_and_parameters_are_checked() {
    assert_eq!(
        check_hosts("Shop.example, www.x.example").unwrap().0,
        ["shop.example", "www.x.example"]
    );
    for wrong in [
        "https://shop.example",
        "shop.example/p",
        "localhost",
        "*.shop.example",
        "a b:1",
    ] {
        assert!(check_hosts(wrong).is_err(), "{wrong}");
    }
    assert_eq!(check_parameters("?a=b&c={sub1}").as_deref(), Ok("a=b&c={sub1}"));
    assert!(check_parameters("a=#").is_err() && check_parameters("a={sub9}").is_err());
    assert_eq!(check_click_parameter(" s1 "), Ok(Some("s1".into())));
    assert!(check_click_parameter("a=b").is_err());
    assert_eq!(check_address(""), Ok(None));
    assert!(check_address("javascript:x").is_err());
}

proptest! {
    /// A value cannot change the host, add a parameter or break a header.
    #[test]
    fn a_value_is_expanded_unchanged_and_changes_nothing_else(value in "\\PC{0,60}") {
        let destination = Destination::parse("https://shop.example/p?c={click_id}&s={sub1}&z=1#end").unwrap();
        let address = destination.expand(&values([&value, "", "", "", ""]));
        prop_assert!(address.bytes().all(|byte| byte.is_ascii_graphic()));
        let url = Url::parse(&address).unwrap();
        prop_assert_eq!(url.host_str(), Some("shop.example"));
        prop_assert_eq!(url.fragment(), Some("end"));
        let pairs: Vec<_> = url.query_pairs().into_owned().collect();
        prop_assert_eq!(pairs, vec![
            ("c".to_owned(), "k1".to_owned()), ("s".to_owned(), value), ("z".to_owned(), "1".to_owned()),
        ]);
    }

    #[test]
    fn no_text_causes_a_panic(text in ".{0,120}") {
        let _ = Destination::parse(&text);
    }
}
