//! Tables of all dialects, one constant each.

mod europe;
mod links;
mod native;
mod networks;
mod partnerize;
mod platforms;
mod programs;
mod trackers;

use crate::dialect::Dialect;

/// All dialects, our own first. Among several that match a call, the earliest wins.
static ALL: &[&Dialect] = &[
    &native::NATIVE,
    &partnerize::PARTNERIZE,
    &programs::PARTNERSTACK_S2S,
    &programs::PARTNERSTACK_ACTION,
    &programs::PARTNERSTACK_CUSTOMER,
    &programs::PARTNERSTACK_TRANSACTION,
    &networks::FLEXOFFERS,
    &links::CLICKMETER,
    &links::JOTURL,
    &platforms::EVERFLOW,
    &platforms::TUNE,
    &platforms::CAKE,
    &platforms::AFFISE,
    &platforms::AFFISE_REACH,
    &platforms::SCALEO,
    &platforms::TRACKIER,
    &platforms::TRACKDESK,
    &platforms::OFFER18,
    &networks::IMPACT,
    &networks::AWIN,
    &networks::AWIN_API,
    &networks::CJ,
    &networks::RAKUTEN,
    &europe::TRADEDOUBLER,
    &programs::WEBGAINS,
    &europe::TRADETRACKER,
    &europe::ADCELL,
    &europe::INGENIOUS,
    &europe::KWANKO,
    &networks::SHAREASALE,
    &networks::ADMITAD,
    &networks::PEPPERJAM,
    &programs::TABOOLA,
    &programs::PAP,
    &programs::TAPFILIATE,
    &programs::FIRSTPROMOTER,
    &programs::LEADDYNO,
    &programs::TOLT,
    &programs::REFERSION,
    &programs::DUB,
    &trackers::VOLUUM,
    &trackers::KEITARO,
    &trackers::BINOM_V1,
    &trackers::BINOM_V2,
    &trackers::BEMOB,
    &trackers::REDTRACK,
    &trackers::PEERCLICK,
    &trackers::PROSPER202,
    &trackers::EVOCLICK,
    &trackers::FUNNELFLUX,
    &trackers::SKRO,
];

/// All dialects, our own first.
#[must_use]
pub fn all() -> &'static [&'static Dialect] {
    ALL
}

/// Finds the dialect with this key.
///
/// ```
/// assert_eq!(dialects::of_key("tune").map(|dialect| dialect.name), Some("TUNE"));
/// ```
#[must_use]
pub fn of_key(key: &str) -> Option<&'static Dialect> {
    ALL.iter().copied().find(|dialect| dialect.key == key)
}

/// Our own dialect.
#[must_use]
pub fn native() -> &'static Dialect {
    &native::NATIVE
}
