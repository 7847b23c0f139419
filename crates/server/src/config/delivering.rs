//! Options of deliveries.

use clap::Args;
use delivery::{Allowed, Guard};

/// Deliveries to trackers of affiliates and systems of networks.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Deliveries")]
pub struct DeliveryOptions {
    /// Address that deliveries may go to although it is not on the internet: a network (10.0.0.0/8), with all ports, or a
    /// host with its port (tracker.internal:8080); or a port of addresses on the internet (:8443). May be repeated. Without it, deliveries go to public addresses only, on
    /// the ports 80 and 443.
    #[arg(
        long = "delivery-allow",
        env = "CLICKLEDGER_DELIVERY_ALLOW",
        value_delimiter = ',',
        value_name = "NETWORK|HOST:PORT|:PORT"
    )]
    pub allowed: Vec<Allowed>,
}

impl DeliveryOptions {
    /// Guard of outgoing calls.
    #[must_use]
    pub fn guard(self) -> Guard {
        Guard::new(self.allowed)
    }
}
