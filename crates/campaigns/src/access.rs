//! Access of affiliates to campaigns.

use schema::text_enum;

text_enum! {
    /// Affiliates that may promote a campaign.
    pub enum Access {
        /// All affiliates.
        Open = "open",
        /// Affiliates that applied and were approved.
        Approval = "approval",
        /// Affiliates that were invited.
        Private = "private",
    }
}

text_enum! {
    /// Access of an affiliate to a campaign.
    pub enum PromoterStatus {
        /// Applied; the network has not decided.
        Asked = "asked",
        /// May promote the campaign.
        Approved = "approved",
        /// May not promote the campaign.
        Declined = "declined",
    }
}
