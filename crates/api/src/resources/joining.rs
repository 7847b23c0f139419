//! `/network/joining`: applications of affiliates to the network.

use actix_web::web::{Data, Json};
use schema::{Words, clock};
use serde::{Deserialize, Serialize};
use tenancy::{ChangeError, needs, networks};
use utoipa::ToSchema;

use super::Answer;
use crate::auth::Allowed;
use crate::extract::{Body, present};
use crate::schemas;
use crate::state::Api;

/// Settings for applications of affiliates.
#[derive(Serialize, ToSchema)]
pub(crate) struct Joining {
    /// True if the network accepts applications.
    join_open: bool,
    /// Introduction to the application form.
    #[schema(value_type = schemas::Notes)]
    join_greeting: String,
    /// Questions to applicants. A question that ends with * requires an answer.
    #[schema(value_type = Vec<schemas::Name>)]
    join_questions: Vec<String>,
    /// Applications that are approved automatically.
    #[schema(value_type = schemas::AutoApprove)]
    auto_approve: &'static str,
    /// E-mail domains for `listed`.
    #[schema(value_type = Vec<schemas::Domain>)]
    auto_approve_domains: Vec<String>,
}

impl From<networks::Joining> for Joining {
    fn from(joining: networks::Joining) -> Self {
        Self {
            join_open: joining.join_open,
            join_greeting: joining.join_greeting,
            join_questions: joining.join_questions.0,
            auto_approve: joining.auto_approve.as_str(),
            auto_approve_domains: joining.auto_approve_domains.0,
        }
    }
}

/// Fields to update. Absent fields keep their values.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JoiningPatch {
    /// True if the network accepts applications.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = bool, required = false)]
    join_open: Option<bool>,
    /// Introduction to the application form.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = schemas::Notes, required = false)]
    join_greeting: Option<String>,
    /// Questions to applicants, as a complete list. A question that ends with * requires an answer.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Vec<schemas::Name>, max_items = 20, required = false)]
    join_questions: Option<Vec<String>>,
    /// Applications to approve automatically.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = schemas::AutoApprove, required = false)]
    auto_approve: Option<String>,
    /// E-mail domains for `listed`, as a complete list.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Vec<schemas::Domain>, max_items = 100, required = false)]
    auto_approve_domains: Option<Vec<String>>,
}

impl JoiningPatch {
    fn applied_to(self, old: networks::Joining) -> Result<networks::Joining, ChangeError> {
        let auto_approve = match self.auto_approve {
            Some(word) => word
                .parse()
                .map_err(|message: String| ChangeError::field("auto_approve", message))?,
            None => old.auto_approve,
        };
        networks::Joining {
            join_open: self.join_open.unwrap_or(old.join_open),
            join_greeting: self.join_greeting.unwrap_or(old.join_greeting),
            join_questions: self.join_questions.map_or(old.join_questions, Words),
            auto_approve,
            auto_approve_domains: self.auto_approve_domains.map_or(old.auto_approve_domains, Words),
        }
        .checked()
    }
}

/// Get the application settings
#[utoipa::path(get, path = "/network/joining", tag = "Network", responses((status = 200, body = Joining)))]
pub(crate) async fn show(access: Allowed<needs::SeeNetwork>, api: Data<Api>) -> Answer<Joining> {
    let mut conn = access.network(&api.db).await?;
    let network = networks::current(&mut conn).await?;
    conn.commit().await?;
    Ok(Json(network.joining.into()))
}

/// Update the application settings
#[utoipa::path(patch, path = "/network/joining", tag = "Network", request_body = JoiningPatch, responses((status = 200, body = Joining)))]
pub(crate) async fn update(
    access: Allowed<needs::ManageNetwork>,
    api: Data<Api>,
    body: Body<JoiningPatch>,
) -> Answer<Joining> {
    let mut conn = access.network(&api.db).await?;
    let old = networks::current(&mut conn).await?.joining;
    let joining = body.value.applied_to(old)?;
    networks::update_joining(&mut conn, &access.author(), &joining, clock::now()).await?;
    conn.commit().await?;
    Ok(Json(joining.into()))
}
