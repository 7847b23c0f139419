//! Routes as tables: what is served cannot differ from what is listed, and tests walk the lists.

/// Makes a function that registers routes below a prefix, and the list of them.
macro_rules! routes {
    ($(#[$meta:meta])* $configure:ident, $list:ident, $prefix:literal: $($method:ident $path:literal => $handler:expr;)+) => {
        $(#[$meta])*
        pub(crate) fn $configure(config: &mut actix_web::web::ServiceConfig) {
            config$(.route($path, actix_web::web::$method().to($handler)))+;
        }

        $(#[$meta])*
        pub(crate) const $list: &[(&str, &str)] = &[$((stringify!($method), concat!($prefix, $path))),+];
    };
}

pub(crate) use routes;
