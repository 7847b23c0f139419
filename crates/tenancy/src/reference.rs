//! What people mean when they name something by what it is called here or elsewhere.

/// Which of those that are found by a text is meant by it: the one that another system calls so, or else the only one.
///
/// ```
/// use tenancy::meant;
/// type Named = (&'static str, Option<&'static str>);
/// fn external_id(it: &Named) -> Option<&str> {
///     it.1
/// }
/// let found = vec![("Nova", None), ("Other", Some("Nova"))];
/// assert_eq!(meant("Nova", found, external_id).map(|it| it.0), Some("Other"));
/// assert_eq!(meant("Nova", vec![("Nova", None)], external_id).map(|it| it.0), Some("Nova"));
/// assert_eq!(meant("Nova", vec![("Nova", None), ("Nova", None)], external_id), None);
/// ```
pub fn meant<T>(text: &str, found: Vec<T>, external_id: impl Fn(&T) -> Option<&str>) -> Option<T> {
    let elsewhere = found.iter().position(|it| external_id(it) == Some(text));
    let alone = (found.len() == 1).then_some(0);
    let place = elsewhere.or(alone)?;
    found.into_iter().nth(place)
}
