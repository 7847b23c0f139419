//! Default postback templates for trackers.

use crate::{Dialect, Evidence, of_key};

/// Path and query of each tracker's template, with our macros.
const OUTGOING: [(&str, &str); 12] = [
    (
        "voluum",
        "/postback?cid={aff_click_id}&payout={payout}&txid={conversion_id}&currency={currency}&et={event}",
    ),
    (
        "keitaro",
        "/postback?subid={aff_click_id}&status={status}&payout={payout}&currency={currency}&tid={conversion_id}",
    ),
    (
        "binom_v1",
        "/click.php?cnv_id={aff_click_id}&payout={payout}&cnv_status={status}&cnv_currency={currency}",
    ),
    (
        "binom_v2",
        "/click?cnv_id={aff_click_id}&payout={payout}&cnv_status={status}",
    ),
    (
        "bemob",
        "/postback?cid={aff_click_id}&payout={payout}&txid={conversion_id}&status={status}",
    ),
    (
        "redtrack",
        "/postback?clickid={aff_click_id}&sum={payout}&type={event}&rdtk_event_id={conversion_id}",
    ),
    (
        "peerclick",
        "/postback?cid={aff_click_id}&payout={payout}&status={status}&txid={conversion_id}&currency={currency}",
    ),
    (
        "prosper202",
        "/tracking202/static/gpb.php?amount={payout}&subid={aff_click_id}&txid={conversion_id}",
    ),
    ("evoclick", "/api/postback?pid={aff_click_id}&payout={payout}"),
    (
        "funnelflux",
        "/pb/?hit={aff_click_id}&tx={conversion_id}&rev={payout}",
    ),
    ("skro", "/postback?clickid={aff_click_id}&payout={payout}"),
    (
        "affise",
        "/postback?clickid={aff_click_id}&action_id={conversion_id}&sum={payout}&status={status}",
    ),
];

/// A default template for a tracker.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing {
    /// Dialect of the tracker; [`Dialect::word_for`] gives its words for states.
    pub dialect: &'static Dialect,
    /// Path and query with macros. The path of Keitaro's postback URL starts with its key, which is part of the base
    /// URL.
    pub path: &'static str,
}

impl Outgoing {
    /// Template for a tracker at a base URL such as `https://tracker.example`.
    #[must_use]
    pub fn at(&self, base_url: &str) -> String {
        format!("{}{}", base_url.trim_end_matches('/'), self.path)
    }

    /// True if the user must confirm the template, because its source is not the vendor.
    #[must_use]
    pub fn to_confirm(&self) -> bool {
        self.dialect.source.evidence != Evidence::Vendor
    }
}

/// Templates of all trackers.
pub fn outgoing() -> impl Iterator<Item = Outgoing> {
    OUTGOING.iter().filter_map(|(key, path)| {
        Some(Outgoing {
            dialect: of_key(key)?,
            path,
        })
    })
}
