//! Identifiers of campaigns and goals in other systems.

/// Parses an identifier of another system; empty for none.
pub(crate) fn check_external_id(text: &str) -> Result<Option<String>, &'static str> {
    match text {
        "" => Ok(None),
        _ if text.chars().count() > 120 || text.contains(char::is_control) => {
            Err("Use at most 120 characters, and no control characters.")
        }
        _ => Ok(Some(text.to_owned())),
    }
}
