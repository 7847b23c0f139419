//! Tables of routes: each yields both the registration and the list for tests, so the two cannot differ.

/// Defines a function that registers routes, and the list of their methods and paths.
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
