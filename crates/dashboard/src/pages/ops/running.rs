//! Guide to running an installation.

use askama::Template;

use crate::page::PageRequest;
use crate::shell::{PageResult, html};

/// `GET /docs/running`: public, because an operator may have no account yet.
pub(super) async fn show(request: PageRequest) -> PageResult {
    html(&Guide {
        theme: request.theme(),
    })
}

#[derive(Template)]
#[template(path = "ops/running/show.html")]
struct Guide {
    theme: &'static str,
}
