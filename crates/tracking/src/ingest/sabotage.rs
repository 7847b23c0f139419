//! Deliberate mistake for the negative controls of `conserve`; compiled for these only.

use std::sync::OnceLock;

/// True if the cursor must be committed before the rows it covers.
pub(super) fn loosens_the_cursor() -> bool {
    static CHOSEN: OnceLock<bool> = OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "sabotage must not be a setting")]
    *CHOSEN
        .get_or_init(|| std::env::var("CLICKLEDGER_SABOTAGE").is_ok_and(|mistake| mistake == "loose-cursor"))
}
