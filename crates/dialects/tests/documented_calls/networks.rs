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
        token: some("Token"),
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
        // Two pieces at 5.00, less 0.50 of the line and 1.50 of the order.
        amount: amount("8"),
        discount: amount("1.5"),
        currency: some("USD"),
        coupon: some("SAVE"),
        customer_type: Some(CustomerType::Existing),
        event_time: time(1_777_638_600),
        signature: some("sig"),
        items: vec![item("S1", "", 2, "9.5")],
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
    let url = "https://tbs.tradedoubler.com/report?organization=1&event=2&orderNumber=A-1&orderValue=30.00&currency=SEK&tduid=c1&voucher=SAVE&checksum=v04d41d8cd98f00b204e9800998ecf8427e&reportInfo=f1%3DS1%26f2%3DBoot%26f3%3D10.00%26f4%3D2%7Cf1%3DS2%26f3%3D10%26f4%3D1";
    let expected = Postback {
        reference: some("1"),
        goal: some("2"),
        order_id: some("A-1"),
        amount: amount("30"),
        currency: some("SEK"),
        coupon: some("SAVE"),
        signature: some("v04d41d8cd98f00b204e9800998ecf8427e"),
        items: vec![
            Item {
                name: some("Boot"),
                ..item("S1", "", 2, "20")
            },
            item("S2", "", 1, "10"),
        ],
        ..click("c1")
    };
    assert_eq!(get("tradedoubler", url), expected);
    let lower = "https://tbs.tradedoubler.com/report?organization=1&program=2&event=51&ordernumber=A-1&ordervalue=59.90&currency=EUR&tduid=c1&voucher=V&event_time=2026-05-01+12:30:00";
    let lower = get("tradedoubler", lower);
    assert_eq!(
        (lower.order_id, lower.amount, lower.event_time),
        (some("A-1"), amount("59.90"), time(1_777_638_600))
    );
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
fn tradetracker_sends_the_amount_as_tam_and_an_address_that_is_not_kept() {
    let url = "https://ts.tradetracker.net/?cid=30735&pid=47044&tgi=&tid=100200&tam=59.90&descrMerchant=&descrAffiliate=100200&currency=EUR&data=100200&vc=SAVE&eml=a%40b.example&ttid=c1";
    let expected = Postback {
        reference: some("30735"),
        goal: some("47044"),
        order_id: some("100200"),
        amount: amount("59.90"),
        currency: some("EUR"),
        coupon: some("SAVE"),
        personal: extra(&[("eml", "a@b.example")]),
        extra: extra(&[
            ("tgi", ""),
            ("descrMerchant", ""),
            ("descrAffiliate", "100200"),
            ("data", "100200"),
        ]),
        ..click("c1")
    };
    assert_eq!(get("tradetracker", url), expected);
}

#[test]
fn adcell_names_its_goal_eventid() {
    for path in ["track", "track.js"] {
        let url = format!(
            "https://t.adcell.com/t/{path}?pid=11532&eventid=14617&referenz=A-1&betrag=59.90&bid=1-2-3"
        );
        let expected = Postback {
            reference: some("11532"),
            goal: some("14617"),
            order_id: some("A-1"),
            amount: amount("59.90"),
            ..click("1-2-3")
        };
        assert_eq!(get("adcell", &url), expected);
    }
}

#[test]
fn ingenious_calls_the_order_cid_and_the_click_cli() {
    let url = "https://perf.example/ts/i5543965/tsa?typ=s&tst=1777638600&trc=default&ctg=Request&sid=&cid=A-1&orv=59.90&cli=c1&orc=EUR";
    let read = get("ingenious", url);
    assert_eq!((read.order_id, read.amount), (some("A-1"), amount("59.90")));
    assert_eq!((read.currency, read.goal), (some("EUR"), None));
    assert_eq!(read.click_ids, ["c1"]);
}

#[test]
fn awin_names_two_clicks_in_one_value_and_other_channels() {
    let base = "https://www.awin1.com/sread.php?tt=ss&tv=2&merchant=1234&amount=30.00&cr=GBP&ref=A-1&parts=DEFAULT:30.00";
    let two = get("awin", &format!("{base}&ch=aw&cks=1001_1_aaa%2C1001_2_bbb"));
    assert_eq!(two.click_ids, ["1001_1_aaa", "1001_2_bbb"]);
    assert_eq!(two.other_channel, None);
    let other = get("awin", &format!("{base}&ch=ppc&cks=c1"));
    assert_eq!(other.other_channel, some("ppc"));
}

#[test]
fn impact_takes_discounts_off_the_lines_and_reverses_by_some_codes_only() {
    let base = "CampaignId=7&EventTypeId=3&EventDate=2026-05-01T14:30:00%2B02:00&OrderId=A-1&ClickId=c1";
    let send = |rest: &str| {
        let body = format!("{base}&{rest}");
        read(
            "impact",
            &post("https://api.impact.com/Advertisers/SID/Conversions", FORM, &body),
        )
    };
    let total = send("ItemSku1=S1&ItemQuantity1=2&ItemSubTotal1=20.00");
    assert_eq!(total.amount, amount("20"));
    let less = send("ItemSku1=S1&ItemQuantity1=2&ItemPrice1=10.00&ItemDiscount1=3.00&OrderDiscount=2");
    assert_eq!((less.items[0].amount, less.amount), (amount("14"), amount("12")));
    let line = send("ItemSku1=S1&ItemQuantity1=2&ItemPrice1=10.00&ItemTotalDiscount1=3.00");
    assert_eq!(line.amount, amount("17"));
    let reason = send("DispositionCode=APPROVED&Amount=5");
    assert_eq!((reason.state, reason.intent), (None, Intent::Report));
    let body = "ActionTrackerId=3&OrderId=A-1&DispositionCode=ITEM_RETURNED";
    let undone = read(
        "impact",
        &post("https://api.impact.com/Advertisers/SID/Actions", FORM, body),
    );
    assert_eq!(
        (undone.state, undone.intent),
        (Some(State::Rejected), Intent::Update)
    );
}

#[test]
fn rakuten_sends_a_voucher_as_a_line_and_sums_as_programs_round_them() {
    let url = "https://track.linksynergy.com/ep?mid=12345&ord=A-1&tr=c1&land=20260501_1200&cur=USD&skulist=a|Discount&qlist=2|0&amtlist=2000|-500&namelist=x|Discount";
    let read = get("rakuten", url);
    assert_eq!(
        (read.amount, read.items[1].amount.map(|amount| amount.micros)),
        (amount("15"), Some(-5_000_000))
    );
    let float = "https://track.linksynergy.com/ep?mid=1&ord=A-1&tr=%20&cur=USD&amtlist=1998.9999999999998";
    let float = get("rakuten", float);
    assert_eq!((float.amount, float.click_ids.len()), (amount("19.99"), 0));
    let dinar = get(
        "rakuten",
        "https://track.linksynergy.com/ep?mid=1&ord=A-1&tr=c1&cur=KWD&amtlist=1000",
    );
    assert_eq!(dinar.amount, amount("10"), "hundredths, whatever the currency");
}

#[test]
fn shareasale_admitad_and_pepperjam() {
    let url = "https://www.shareasale.com/q.cfm?amount=20.00&tracking=A-1&transtype=sale&merchantID=7&sscidmode=6&sscid=c1&couponcode=SAVE&skulist=a,b&pricelist=5.00,10.00&quantitylist=2,1";
    let read = get("shareasale", url);
    assert_eq!(
        (read.amount, read.order_id, read.coupon),
        (amount("20"), some("A-1"), some("SAVE"))
    );
    assert_eq!(read.items, [item("a", "", 2, "10"), item("b", "", 1, "10")]);
    let url = "https://ad.admitad.com/r?postback=1&uid=c1&campaign_code=x&action_code=1&order_id=A-1&price=5&currency_code=EUR&position_id=2&position_count=3&postback_key=k";
    let read = get("admitad", url);
    assert_eq!(
        read.order_id,
        some("A-1/2"),
        "each position is reported on its own"
    );
    assert_eq!((read.token, read.amount), (some("k"), amount("5")));
    let url = "https://t.pepperjamnetwork.com/track?INT=ITEMIZED&PID=7&OID=A-1&CLICK_ID=c1,c2&ITEM1=a&QTY1=2&AMOUNT1=5.00&PROMOCODE=SAVE";
    let read = get("pepperjam", url);
    assert_eq!((read.click_ids.len(), read.amount), (2, amount("10")));
    let dynamic = "https://t.pepperjamnetwork.com/track?INT=DYNAMIC&PROGRAM_ID=7&ORDER_ID=A-1&ITEM_ID1=a&ITEM_PRICE1=5&QUANTITY1=3";
    assert_eq!(get("pepperjam", dynamic).amount, amount("15"));
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

#[test]
fn awin_conversion_api() {
    let body = r##"{"orders":[{"orderReference":"#1100011","amount":111,"channel":"aw","currency":"GBP","voucher":"10_OFF","isTest":false,"awc":"1001_1_aaa","customerAcquisition":"NEW","commissionGroups":[{"code":"DEFAULT","amount":111}],"basket":[{"id":"77","name":"Boot","price":55.5,"quantity":2,"sku":"S1","category":"feet","commissionGroupCode":"SHOES"}],"custom":{"1":"x"}}]}"##;
    let url = "https://api.awin.com/s2s/advertiser/1001/orders";
    let call = RawCall {
        api_key: Some("tok"),
        ..json(url, body)
    };
    let expected = Postback {
        order_id: some("1100011"),
        amount: amount("111"),
        currency: some("GBP"),
        coupon: some("10_OFF"),
        customer_type: Some(CustomerType::New),
        token: some("tok"),
        items: vec![Item {
            name: some("Boot"),
            ..item("S1", "SHOES", 2, "111")
        }],
        extra: extra(&[("item0.category", "feet"), ("orders.custom.1", "x")]),
        ..click("1001_1_aaa")
    };
    assert_eq!(read("awin_api", &call), expected);
    let groups = r#"{"orders":[{"orderReference":"A-1","amount":30,"channel":"ppc","currency":"GBP","awc":"1001_1_aaa,1001_2_bbb","commissionGroups":[{"code":"A","amount":20},{"code":"B","amount":10}]}]}"#;
    let groups = read("awin_api", &json(url, groups));
    assert_eq!(groups.click_ids, ["1001_1_aaa", "1001_2_bbb"]);
    assert_eq!(groups.other_channel, some("ppc"));
    assert_eq!((groups.items.len(), groups.items[1].amount), (2, amount("10")));
    let two = json(url, r#"{"orders":[{"amount":1},{"amount":2}]}"#);
    assert!(matches!(
        parsed("awin_api", &two).1,
        Some(Problem::Malformed { .. })
    ));
}

#[test]
fn kwanko() {
    let url = "https://action.metaffiliation.com/trk.php?mclic=G4DD511011&argmon=59.90&argann=A-1&argmodp=creditcard&nacur=USD&altid=a%40b.example&argbr=SAVE&cible=c1";
    let expected = Postback {
        reference: some("G4DD511011"),
        order_id: some("A-1"),
        amount: amount("59.90"),
        currency: some("USD"),
        coupon: some("SAVE"),
        personal: extra(&[("altid", "a@b.example")]),
        extra: extra(&[("argmodp", "creditcard")]),
        ..click("c1")
    };
    assert_eq!(get("kwanko", url), expected);
}

#[test]
fn impact_changes_an_action_by_put_and_takes_it_back_by_delete() {
    let url = "https://api.impact.com/Advertisers/SID/Actions";
    let by = |method, body: &'static str| {
        read(
            "impact",
            &RawCall {
                method,
                ..post(url, FORM, body)
            },
        )
    };
    let changed = by(
        "PUT",
        "ActionTrackerId=3&OrderId=A-1&Amount=20.00&Reason=ORDER_UPDATE",
    );
    assert_eq!(
        (changed.intent, changed.amount, changed.state),
        (Intent::Update, amount("20"), None)
    );
    let gone = by(
        "DELETE",
        "ActionTrackerId=3&OrderId=A-1&DispositionCode=ITEM_RETURNED",
    );
    assert_eq!(
        (gone.intent, gone.state, gone.order_id),
        (Intent::Update, Some(State::Rejected), some("A-1"))
    );
}
