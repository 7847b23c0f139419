//! The mistake that conserve's negative controls ask for; in no build but theirs.

use std::sync::OnceLock;

/// Whether the cursor is to be committed before the rows it stands for.
pub(super) fn loosens_the_cursor() -> bool {
    static CHOSEN: OnceLock<bool> = OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "sabotage reaches in past every setting")]
    *CHOSEN.get_or_init(|| std::env::var("CLICKLEDGER_SABOTAGE").is_ok_and(|it| it == "loose-cursor"))
}
