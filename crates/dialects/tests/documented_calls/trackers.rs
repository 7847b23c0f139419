//! Trackers of affiliates.

use crate::*;

fn paid(order: Option<&str>) -> Postback {
    Postback {
        commission: amount("2.5"),
        order_id: order.map(str::to_owned),
        ..click("c1")
    }
}

fn with_state(status: &str, state: State, postback: Postback) -> Postback {
    Postback {
        status: some(status),
        state: Some(state),
        ..postback
    }
}

#[test]
fn voluum() {
    let url = "https://v.example/postback?cid=c1&payout=2.50&txid=A-1&currency=USD&et=sale&param1=a&param5=e";
    let expected = Postback {
        goal: some("sale"),
        currency: some("USD"),
        subs: [some("a"), None, None, None, some("e")],
        ..paid(Some("A-1"))
    };
    assert_eq!(get("voluum", url), expected);
}

#[test]
fn keitaro_maps_its_statuses_in_the_call() {
    let url = "https://k.example/0a1b2c/postback?subid=c1&status=sale&payout=2.50&tid=A-1&currency=USD&cost=1&sub_id_1=a&return=OK";
    let expected = Postback {
        currency: some("USD"),
        subs: [some("a"), None, None, None, None],
        wish: Wish::Text("OK".into()),
        extra: extra(&[("cost", "1")]),
        ..with_state("sale", State::Approved, paid(Some("A-1")))
    };
    assert_eq!(get("keitaro", url), expected);
    let mapped = |status: &str| {
        get(
            "keitaro",
            &format!(
                "https://k.example/0a1b2c/postback?subid=c1&status={status}&lead_status=a,b&sale_status=c&rejected_status=d&ignore_status=ping,test"
            ),
        )
    };
    assert_eq!(mapped("b").state, Some(State::Pending));
    assert_eq!(mapped("c").state, Some(State::Approved));
    assert_eq!(mapped("d").state, Some(State::Rejected));
    assert_eq!(mapped("rebill").state, Some(State::Approved));
    assert!(mapped("ping").is_test && !mapped("c").is_test);
}

#[test]
fn binom_in_both_versions() {
    let expected = Postback {
        currency: some("USD"),
        ..with_state("approved", State::Approved, paid(None))
    };
    let tail = "cnv_id=c1&payout=2.50&cnv_status=approved&cnv_currency=USD";
    assert_eq!(
        get("binom_v1", &format!("https://b.example/click.php?{tail}")),
        expected
    );
    assert_eq!(
        get("binom_v2", &format!("https://b.example/click?{tail}")),
        expected
    );
}

#[test]
fn trackers_with_the_same_path_are_distinguished() {
    let url = "http://id.bemobtrcks.com/postback?cid=c1&payout=2.50&txid=A-1&status=approved";
    assert_eq!(
        get("bemob", url),
        with_state("approved", State::Approved, paid(Some("A-1")))
    );
    let url = "https://r.example/postback?clickid=c1&sum=2.50&type=sale&status=approved&currency=USD&rdtk_event_id=A-1";
    let expected = Postback {
        goal: some("sale"),
        currency: some("USD"),
        ..with_state("approved", State::Approved, paid(Some("A-1")))
    };
    assert_eq!(get("redtrack", url), expected);
    let url = "https://pstb.peerclick.com/postback?cid=c1&payout=2.50&status=approved&txid=A-1&currency=USD&conversion_id=7";
    let expected = Postback {
        currency: some("USD"),
        extra: extra(&[("conversion_id", "7")]),
        ..with_state("approved", State::Approved, paid(Some("A-1")))
    };
    assert_eq!(get("peerclick", url), expected);
    assert_eq!(
        get("skro", "https://s2s.skro.eu/postback?clickid=c1&payout=2.50"),
        paid(None)
    );
    assert_eq!(
        get("clickledger", "/postback?click_id=c1&status=approved").state,
        Some(State::Approved)
    );
    assert_eq!(
        get("clickledger", "/postback?order_id=A-1&amount=5").order_id,
        some("A-1")
    );
}

#[test]
fn prosper202_reads_the_order_id_from_six_names() {
    let base = "http://p.example/tracking202/static/gpb.php?amount=2.50";
    assert_eq!(
        get("prosper202", &format!("{base}&subid=c1&oid=B&transaction_id=A-1")).order_id,
        some("A-1")
    );
    assert_eq!(
        get("prosper202", &format!("{base}&sid=c1&orderid=A-1")),
        paid(Some("A-1"))
    );
    let pixel = get(
        "prosper202",
        "http://p.example/tracking202/static/upx.php?amount=2.50&cid=4&subid=c1",
    );
    assert_eq!((pixel.reference, pixel.wish), (some("4"), Wish::Pixel));
}

#[test]
fn evoclick() {
    assert_eq!(
        get("evoclick", "https://e.example/api/postback?pid=c1&payout=2.50"),
        paid(None)
    );
}

#[test]
fn funnelflux() {
    assert_eq!(
        get("funnelflux", "https://f.example/pb/?hit=c1&tx=A-1&rev=2.50"),
        paid(Some("A-1"))
    );
}
