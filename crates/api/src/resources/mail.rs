//! What callers are told of a mail that their call sent.

use tenancy::Delivery;

/// The word for what became of a mail.
pub(crate) fn word(delivery: &Delivery) -> &'static str {
    match delivery {
        Delivery::Sent => "sent",
        Delivery::NotConfigured => "not_configured",
        Delivery::Failed(_) => "failed",
    }
}
