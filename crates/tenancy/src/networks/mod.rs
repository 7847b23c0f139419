//! Networks: the tenants of an installation.

mod addresses;
mod blocked;
mod click_key;
mod host_claims;
mod host_proof;
mod joining;
mod network;
mod profile;

pub use addresses::{
    ServedHosts, ascii_host, check_host, check_slug, host_of, normal_host, slug, slug_from, tracking_url,
};
pub use blocked::check_address;
pub use click_key::replace_click_key;
pub use host_claims::{
    ClaimedHost, HostState, apply_check, claimed_host, claimed_hosts, due_checks, due_notices, record_notice,
    remove_old_losses, set_tracking_hosts, tracking_hosts,
};
pub use host_proof::{Answer, Answers, Challenge, Proof, RecordResult, name_of};
pub use joining::{AutoApprove, Joining};
pub use network::{
    ClickKeyInUse, Limits, Network, NetworkStatus, NewNetwork, active, create, current, set_limits,
    set_status, update_joining,
};
pub use profile::{Profile, ProfileDraft, check_time_zone, profile, update_profile};
