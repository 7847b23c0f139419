//! Guide to running an installation.

use askama::Template;

use crate::navigation::docs;
use crate::page::PageRequest;
use crate::shell::{PageResult, Shell, html};

/// `GET /docs/running`: public, because an operator may have no account yet.
pub(super) async fn show(request: PageRequest) -> PageResult {
    html(&Guide {
        shell: Shell::of_docs(&request, docs::RUNNING).await?,
    })
}

#[derive(Template)]
#[template(path = "ops/running/show.html")]
struct Guide {
    shell: Shell,
}
