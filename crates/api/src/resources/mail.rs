//! Result of a mail in responses.

use tenancy::Delivery;

/// Value of a field `mail`.
pub(crate) fn result(delivery: &Delivery) -> &'static str {
    match delivery {
        Delivery::Sent => "sent",
        Delivery::NotConfigured => "not_configured",
        Delivery::Failed(_) => "failed",
    }
}
