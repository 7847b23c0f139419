//! Flags of clicks that are not valid.

use schema::text_enum;

text_enum! {
    /// Reason why a click is not valid; the first that applies, in this order. The visitor is redirected all the same.
    pub enum ClickFlag {
        /// A browser fetched the page in advance; no visitor may have seen it.
        Prefetch = "prefetch",
        /// A robot, by its own account or by a missing User-Agent.
        Bot = "bot",
        /// The network blocks the address.
        Blocked = "blocked",
        /// The address belongs to a data centre.
        DataCenter = "data_center",
        /// The country or device does not match the targeting of the campaign.
        NotTargeted = "not_targeted",
        /// The visitor clicks more often than a person can.
        Velocity = "velocity",
        /// The visitor clicked the same link a moment before.
        Duplicate = "duplicate",
        /// A cap of the campaign is reached.
        CapReached = "cap_reached",
    }
}

impl ClickFlag {
    /// Meaning, for users.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Prefetch => "Fetched in advance by a browser",
            Self::Bot => "Robot",
            Self::Blocked => "Blocked address",
            Self::DataCenter => "Data centre",
            Self::NotTargeted => "Not targeted (country or device)",
            Self::Velocity => "Too many clicks",
            Self::Duplicate => "Repeated within two seconds",
            Self::CapReached => "Beyond a cap of the campaign",
        }
    }
}
