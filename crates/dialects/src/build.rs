//! The call that tells a system of a conversion: the inverse of reading.

use crate::{Dialect, OutgoingCall, Postback};

impl Dialect {
    /// The call that tells this system of a conversion, at an address that begins with `base_url`. `None` where the
    /// system receives none, or has no way to say what is to be done.
    #[must_use]
    pub fn build(&self, base_url: &str, postback: &Postback) -> Option<OutgoingCall> {
        let _ = (base_url, postback);
        None
    }
}
