//! Networks: the tenants of an installation.

mod addresses;
mod blocked;
mod click_key;
mod joining;
mod network;
mod profile;

pub use addresses::{
    ascii_host, check_host, check_slug, host_of, normal_host, set_tracking_hosts, slug, slug_from,
    tracking_hosts, tracking_url,
};
pub use blocked::check_address;
pub use click_key::replace_click_key;
pub use joining::{AutoApprove, Joining};
pub use network::{
    ClickKeyInUse, Limits, Network, NetworkStatus, NewNetwork, active, create, current, set_limits,
    set_status, update_joining,
};
pub use profile::{Profile, ProfileDraft, check_time_zone, profile, update_profile};
