//! Affiliate networks.

use crate::*;

const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn impact() {
    let body = "CampaignId=7&ActionTrackerId=3&EventDate=NOW&ClickId=c1&OrderId=A-1&CustomerId=u1&CustomerEmail=hash&CurrencyCode=USD&OrderPromoCode=SAVE&OrderDiscount=1.00&CustomerStatus=Existing&ItemSku1=S1&ItemQuantity1=2&ItemPrice1=5.00&ItemSku2=S2&ItemQuantity2=1&ItemPrice2=3.50";
    let call = RawCall {
        authorization: Some("Basic U0lEOlRva2Vu"),
        ..post("https://api.impact.com/Advertisers/SID/Conversions", FORM, body)
    };
    let expected = Postback {
        reference: some("7"),
        goal: some("3"),
        order_id: some("A-1"),
        amount: amount("12.50"),
        discount: amount("1"),
        currency: some("USD"),
        coupon: some("SAVE"),
        customer_id: some("u1"),
        customer_type: Some(CustomerType::Existing),
        token: some("SID:Token"),
        items: vec![item("S1", "", 2, "10"), item("S2", "", 1, "3.5")],
        personal: extra(&[("CustomerEmail", "hash")]),
        ..click("c1")
    };
    assert_eq!(read("impact", &call), expected);
}

#[test]
fn impact_reverses_an_action() {
    let body =
        "CampaignId=7&EventTypeId=3&EventDate=2026-05-01T14:30:00%2B02:00&Oid=A-1&DispositionCode=REJECTED";
    let read = read(
        "impact",
        &post("https://api.impact.com/Advertisers/SID/Conversions", FORM, body),
    );
    assert_eq!((read.state, read.intent), (Some(State::Rejected), Intent::Update));
    assert_eq!(
        (read.order_id, read.event_time),
        (some("A-1"), time(1_777_638_600))
    );
}

#[test]
fn awin() {
    let url = "https://www.awin1.com/sread.php?tt=ss&tv=2&merchant=1234&amount=30.00&ch=aw&cr=GBP&ref=A-1&parts=SHOES:20.00|HATS:10.00&vc=SAVE&cks=c1&testmode=1&customeracquisition=RETURNING&p1=x&bd[0]=AW:P|1234|A-1|77|Boot|10.00|2|S1|SHOES|feet&bd[1]=AW:P|1234|A-1|78|Cap|10.00|1|S2|HATS|head";
    let line = |sku: &str, category: &str, name: &str, quantity, line: &str| Item {
        name: some(name),
        ..item(sku, category, quantity, line)
    };
    let expected = Postback {
        reference: some("1234"),
        order_id: some("A-1"),
        amount: amount("30"),
        currency: some("GBP"),
        coupon: some("SAVE"),
        customer_type: Some(CustomerType::Existing),
        is_test: true,
        items: vec![
            line("S1", "SHOES", "Boot", 2, "20"),
            line("S2", "HATS", "Cap", 1, "10"),
        ],
        extra: extra(&[("p1", "x")]),
        ..click("c1")
    };
    assert_eq!(get("awin", url), expected);
    assert_eq!(
        get("awin", &url.replace("bd[0]", "bd%5B0%5D").replace('|', "%7C")),
        expected
    );
}

#[test]
fn awin_groups_without_a_basket() {
    let base = "https://www.awin1.com/sread.php?tt=ss&tv=2&merchant=1234&ch=aw&ref=A-1&cks=c1&testmode=0";
    let one = get("awin", &format!("{base}&amount=30&parts=SALE:30"));
    assert_eq!(
        (one.goal, one.amount, one.is_test),
        (some("SALE"), amount("30"), false)
    );
    let default = get("awin", &format!("{base}&amount=30&parts=DEFAULT:30"));
    assert_eq!(default.goal, None);
    let two = get("awin", &format!("{base}&amount=30&parts=A:20|B:10"));
    assert_eq!(two.items.len(), 2);
    assert_eq!(two.items[1].category, some("B"));
}

#[test]
fn cj_in_any_letter_case() {
    let url = "https://www.emjcd.com/u?CID=15&TYPE=375&METHOD=S2S&SIGNATURE=sig&CJEVENT=c1&eventTime=2026-05-01T12:30:00Z&OID=A-1&currency=USD&COUPON=SAVE&DISCOUNT=1.50&ITEM1=S1&AMT1=5.00&QTY1=2&DCNT1=0.50&CUST_STATUS=return";
    let expected = Postback {
        reference: some("15"),
        goal: some("375"),
        order_id: some("A-1"),
        amount: amount("8.50"),
        discount: amount("1.5"),
        currency: some("USD"),
        coupon: some("SAVE"),
        customer_type: Some(CustomerType::Existing),
        event_time: time(1_777_638_600),
        signature: some("sig"),
        items: vec![item("S1", "", 2, "10")],
        extra: extra(&[("DCNT1", "0.50")]),
        ..click("c1")
    };
    assert_eq!(get("cj", url), expected);
    let simple = get(
        "cj",
        "https://www.emjcd.com/u?cid=15&type=375&method=S2S&cjevent=c1&oid=A-1&amount=9.99",
    );
    assert_eq!(simple.amount, amount("9.99"));
}

#[test]
fn rakuten_amounts_are_in_minor_units() {
    let url = "https://track.linksynergy.com/ep?mid=12345&ord=A-1&tr=c1&land=20260501_1200&date=20260501_1230&cur=USD&skulist=a|b&qlist=1|2&amtlist=1999|1100&namelist=x|y";
    let line = |sku: &str, name: &str, quantity, line: &str| Item {
        name: some(name),
        ..item(sku, "", quantity, line)
    };
    let expected = Postback {
        reference: some("12345"),
        order_id: some("A-1"),
        amount: amount("30.99"),
        currency: some("USD"),
        event_time: time(1_777_638_600),
        items: vec![line("a", "x", 1, "19.99"), line("b", "y", 2, "11")],
        extra: extra(&[("land", "20260501_1200")]),
        ..click("c1")
    };
    assert_eq!(get("rakuten", url), expected);
    let yen = get("rakuten", &url.replace("cur=USD", "currency=JPY"));
    assert_eq!(yen.amount, amount("3099"));
    assert_eq!(get("rakuten", &format!("{url}&img=1")).wish, Wish::Pixel);
}

#[test]
fn tradedoubler() {
    let url = "https://tbs.tradedoubler.com/report?organization=1&event=2&orderNumber=A-1&orderValue=30.00&currency=SEK&tduid=c1&voucher=SAVE&checksum=v04d41d8cd98f00b204e9800998ecf8427e&reportInfo=r";
    let expected = Postback {
        reference: some("1"),
        goal: some("2"),
        order_id: some("A-1"),
        amount: amount("30"),
        currency: some("SEK"),
        coupon: some("SAVE"),
        signature: some("v04d41d8cd98f00b204e9800998ecf8427e"),
        extra: extra(&[("reportInfo", "r")]),
        ..click("c1")
    };
    assert_eq!(get("tradedoubler", url), expected);
    let lead = get(
        "tradedoubler",
        "https://tbl.tradedoubler.com/report?organization=1&event=2&leadNumber=L-1&tduid=c1",
    );
    assert_eq!(lead.order_id, some("L-1"));
}

#[test]
fn webgains() {
    let body = r#"{"ids":[{"name":"s2s","value":"c1"}],"programId":"9","value":30.5,"currency":"GBP","orderReference":"A-1","voucherId":"SAVE","customerType":"new","items":[{"code":"S1","price":10,"quantity":2}]}"#;
    let expected = Postback {
        reference: some("9"),
        order_id: some("A-1"),
        amount: amount("30.5"),
        currency: some("GBP"),
        coupon: some("SAVE"),
        customer_type: Some(CustomerType::New),
        items: vec![item("S1", "", 2, "20")],
        ..click("c1")
    };
    assert_eq!(
        read(
            "webgains",
            &json("https://api.webgains.io/queue-conversion", body)
        ),
        expected
    );
}

#[test]
fn reconstructed_dialects() {
    let expected = |goal: Option<&str>, reference: Option<&str>| Postback {
        goal: goal.map(str::to_owned),
        reference: reference.map(str::to_owned),
        order_id: some("A-1"),
        amount: amount("5"),
        ..click("c1")
    };
    let url = "https://ts.tradetracker.net/?cid=3&pid=4&tid=A-1&data=5&ttid=c1";
    assert_eq!(get("tradetracker", url), expected(Some("4"), Some("3")));
    let url = "https://t.adcell.com/t/track?pid=3&eid=4&referenz=A-1&betrag=5&bid=c1";
    assert_eq!(get("adcell", url), expected(Some("4"), Some("3")));
    let url = "https://tracking.belboon.com/s2s?clickid=c1&order_id=A-1&amount=5";
    assert_eq!(get("belboon", url), expected(None, None));
    let url = "https://digistore24.com/tracking/conversion?cid=c1&order_id=A-1&amount=5";
    assert_eq!(get("digistore24", url), expected(None, None));
}

#[test]
fn taboola() {
    let url = "https://trc.taboola.com/actions-handler/log/3/s2s-action?click-id=c1&name=purchase&revenue=9.5&currency=USD&orderid=A-1&quantity=2";
    let expected = Postback {
        goal: some("purchase"),
        order_id: some("A-1"),
        amount: amount("9.5"),
        currency: some("USD"),
        extra: extra(&[("quantity", "2")]),
        ..click("c1")
    };
    assert_eq!(get("taboola", url), expected);
    let bulk = "https://trc.taboola.com/acct/log/3/bulk-s2s-action";
    let one = json(
        bulk,
        r#"{"actions":[{"click-id":"c1","timestamp":1777638600000,"name":"purchase"}]}"#,
    );
    assert_eq!(read("taboola", &one).event_time, time(1_777_638_600));
    let two = json(bulk, r#"{"actions":[{"click-id":"c1"},{"click-id":"c2"}]}"#);
    assert!(matches!(
        parsed("taboola", &two).1,
        Some(Problem::Malformed { .. })
    ));
}
