//! Responses in the sender's format.

use dialects::{Answer, AnswerFormat, PIXEL, Rendered, Status, Wish, native, of_key};

fn answer(status: Status) -> Answer {
    Answer {
        status,
        reason: "click_not_found".into(),
        message: "No click <1> & \"2\".".into(),
        hint: None,
        notes: Vec::new(),
        request_id: "pb_1".into(),
        conversion_id: None,
        mode: "live",
        docs: "/docs/errors#click_not_found".into(),
        inspect: None,
    }
}

fn spoken(key: &str, status: Status) -> (&'static str, String) {
    let Some(dialect) = of_key(key) else {
        panic!("{key}")
    };
    let rendered = dialect.render(&answer(status), 422, AnswerFormat::Dialect, &Wish::Usual, false);
    assert_eq!(rendered.http_status, 422);
    (
        rendered.content_type,
        String::from_utf8_lossy(&rendered.body).into_owned(),
    )
}

fn ours(status: Status, format: AnswerFormat, wish: &Wish, plain_text: bool) -> Rendered {
    native().render(&answer(status), 422, format, wish, plain_text)
}

#[test]
fn dialects_with_a_documented_response_are_answered_in_it() {
    let text = "text/plain; charset=utf-8";
    assert_eq!(spoken("tune", Status::Accepted), (text, "success=true;".into()));
    assert_eq!(spoken("tune", Status::Duplicate), (text, "success=true;".into()));
    assert_eq!(
        spoken("tune", Status::Rejected),
        (text, "success=false; err_msg=click_not_found;".into())
    );
    let xml = "text/xml; charset=utf-8";
    let declaration = r#"<?xml version="1.0" encoding="utf-8"?>"#;
    assert_eq!(
        spoken("cake", Status::Accepted),
        (xml, format!(r#"{declaration}<result code="0" msg="SUCCESS" />"#))
    );
    assert_eq!(
        spoken("cake", Status::Rejected),
        (
            xml,
            format!(
                r#"{declaration}<result code="1" msg="click_not_found: No click &lt;1&gt; &amp; &quot;2&quot;." />"#
            )
        )
    );
    assert_eq!(spoken("voluum", Status::Held), (text, "OK".into()));
    let line = spoken("voluum", Status::Rejected).1;
    assert_eq!(line, "rejected click_not_found pb_1: No click <1> & \"2\".\n");
    assert_eq!(spoken("dub", Status::Accepted).0, "application/json");
}

#[test]
fn firstpromoter_tells_unreferred_and_repeated_sales_by_the_http_status() {
    let firstpromoter = of_key("firstpromoter").unwrap();
    let rendered = |status, reason: &str, format| {
        let answer = Answer {
            reason: reason.into(),
            ..answer(status)
        };
        firstpromoter.render(&answer, 422, format, &Wish::Usual, false)
    };
    let unreferred = rendered(Status::Rejected, "click_id_missing", AnswerFormat::Dialect);
    assert_eq!((unreferred.http_status, unreferred.body), (204, Vec::new()));
    let repeated = rendered(Status::Duplicate, "duplicate_order", AnswerFormat::Dialect);
    assert_eq!(repeated.http_status, 409);
    assert!(repeated.body.starts_with(br#"{"status":"duplicate""#));
    let mistaken = rendered(Status::Rejected, "click_not_found", AnswerFormat::Dialect);
    assert_eq!(mistaken.http_status, 422);
    let ours = rendered(Status::Rejected, "click_id_missing", AnswerFormat::Ours);
    assert_eq!(ours.http_status, 422);
}

#[test]
fn a_requested_text_is_returned_for_success_only() {
    let wish = Wish::for_text("OK");
    assert_eq!(
        ours(Status::Accepted, AnswerFormat::Ours, &wish, false).body,
        b"OK"
    );
    let rejected = ours(Status::Rejected, AnswerFormat::Ours, &wish, false);
    assert_eq!(rejected.content_type, "application/json");
    assert_eq!(Wish::for_text("<script>\n"), Wish::Usual);
    assert_eq!(Wish::for_text(&"x".repeat(65)), Wish::Usual);
}

#[test]
fn a_pixel_is_a_gif_of_forty_three_bytes() {
    for rendered in [
        ours(Status::Rejected, AnswerFormat::Gif, &Wish::Usual, false),
        ours(Status::Accepted, AnswerFormat::Ours, &Wish::Pixel, false),
    ] {
        assert_eq!(rendered.content_type, "image/gif");
        assert_eq!(rendered.body.len(), 43);
        assert_eq!(
            (rendered.body.as_slice(), rendered.http_status),
            (PIXEL.as_slice(), 422)
        );
    }
    // One pixel, a palette of two colours with the first transparent, and a trailer.
    assert_eq!(&PIXEL[..10], b"GIF89a\x01\x00\x01\x00");
    assert_eq!((PIXEL[10], PIXEL[22], PIXEL[42]), (0x80, 0x01, 0x3B));
}

#[test]
fn always_ok_changes_the_status_and_not_the_body() {
    let rendered = ours(Status::Rejected, AnswerFormat::AlwaysOk, &Wish::Usual, false);
    assert_eq!(rendered.http_status, 200);
    assert!(
        String::from_utf8(rendered.body)
            .unwrap()
            .starts_with(r#"{"status":"rejected","reason":"click_not_found""#)
    );
    let line = ours(Status::Held, AnswerFormat::Ours, &Wish::Usual, true);
    assert!(line.body.starts_with(b"held click_not_found pb_1: "));
}
