//! Campaign configuration: campaigns, goals, commission rules, tracking links, integrations, URL templates, and the
//! in-memory [`Routing`].
//!
//! One module per table, each with its row, its insert and its queries. [`destination`] and [`terms`] do no I/O.

mod access;
mod attribution_order;
pub mod audience;
pub mod campaigns;
pub mod caps;
pub mod click_flag;
pub mod click_id;
pub mod coupons;
pub mod destination;
mod external_id;
pub mod goals;
pub mod going_live;
pub mod integrations;
pub mod landing_pages;
pub mod links;
mod passing;
pub mod promoters;
pub mod quick_start;
mod routing;
pub mod rules;
mod sending;
pub mod sheets;
pub mod terms;
mod test_orders;
pub mod url_templates;

pub use attribution_order::AttributedBy;
pub use click_flag::ClickFlag;
pub use click_id::{ClickId, ClickIds};
pub use destination::{Destination, DestinationError, MacroValues};
pub use passing::pass;
pub use routing::{
    AffiliateState, Keeper, Kept, KeptError, Named, Promotion, Route, Routing, RoutingError, Weighted,
};
