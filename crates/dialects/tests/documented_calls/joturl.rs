//! JotURL.

use crate::*;

#[test]
fn the_generic_call() {
    let read = get(
        "joturl",
        "https://jo.example/postback/?click=c1&ep00=a&val=5&comm=1.5",
    );
    let expected = Postback {
        amount: amount("5"),
        commission: amount("1.5"),
        extra: extra(&[("ep00", "a")]),
        ..click("c1")
    };
    assert_eq!(read, expected);
}

#[test]
fn the_pixel_is_answered_with_an_image() {
    let read = get(
        "joturl",
        "https://jo.example/c/?id=conv&val=5.00&comm=1&param=x&ep00=a&ep14=o",
    );
    let expected = Postback {
        reference: some("conv"),
        amount: amount("5"),
        commission: amount("1"),
        wish: Wish::Pixel,
        extra: extra(&[("param", "x"), ("ep00", "a"), ("ep14", "o")]),
        ..Postback::default()
    };
    assert_eq!(read, expected);
}
