//! Resolution of references by external ID or name.

/// Object that a text refers to, out of those found by it: the one with this external ID, or else the only one found.
///
/// ```
/// use tenancy::resolve_reference;
/// type Named = (&'static str, Option<&'static str>);
/// fn external_id(named: &Named) -> Option<&str> {
///     named.1
/// }
/// let found = vec![("Nova", None), ("Other", Some("Nova"))];
/// assert_eq!(resolve_reference("Nova", found, external_id).map(|named| named.0), Some("Other"));
/// assert_eq!(resolve_reference("Nova", vec![("Nova", None)], external_id).map(|named| named.0), Some("Nova"));
/// assert_eq!(resolve_reference("Nova", vec![("Nova", None), ("Nova", None)], external_id), None);
/// ```
pub fn resolve_reference<T>(
    text: &str,
    found: Vec<T>,
    external_id: impl Fn(&T) -> Option<&str>,
) -> Option<T> {
    let elsewhere = found.iter().position(|object| external_id(object) == Some(text));
    let alone = (found.len() == 1).then_some(0);
    let place = elsewhere.or(alone)?;
    found.into_iter().nth(place)
}
