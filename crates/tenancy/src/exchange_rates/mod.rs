//! Exchange rates by day, against the euro: those that a network sets, the reference rates of the installation, and the
//! conversion of sums by them.

mod convert;
mod ecb;
mod network;
mod per_euro;
mod rate_id;
mod reference;

pub use convert::{Converted, MAX_AGE_DAYS, NoRate, Rate, Rates, Total, UsedRate};
pub use ecb::{EcbError, EcbFile, parse_ecb};
pub use network::{FIELDS, ListedRate, RateFilter, import, list, remove, set, to_csv};
pub use per_euro::{PerEuro, RateSource};
pub use rate_id::{RateId, parse_day};
pub use reference::{
    FetchStatus, ReferenceRate, claim_fetch, fetch_failed, fetch_status, fetch_succeeded, parse_csv,
    store_reference_rates,
};
