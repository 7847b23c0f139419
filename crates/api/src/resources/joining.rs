//! `/network/joining`: how affiliates join the network.

use actix_web::web::{Data, Json};
use schema::{Words, clock};
use serde::{Deserialize, Serialize};
use tenancy::{ChangeError, needs, networks};
use utoipa::ToSchema;

use super::Answer;
use crate::door::Allowed;
use crate::extract::{Body, given};
use crate::{Api, schemas};

/// How affiliates join.
#[derive(Serialize, ToSchema)]
pub(crate) struct Joining {
    /// Whether they may apply at all.
    join_open: bool,
    /// What they read first.
    #[schema(value_type = schemas::Notes)]
    join_greeting: String,
    /// What they are asked; one that ends with * must be answered.
    #[schema(value_type = Vec<schemas::Name>)]
    join_questions: Vec<String>,
    #[schema(value_type = schemas::AutoApprove)]
    auto_approve: &'static str,
    /// From which e-mail domains, for `listed`.
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

/// What is to change. Absent fields stay as they are.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JoiningPatch {
    /// Whether they may apply at all.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = bool, required = false)]
    join_open: Option<bool>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = schemas::Notes, required = false)]
    join_greeting: Option<String>,
    /// All of them, in their order; one that ends with * must be answered.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Vec<schemas::Name>, max_items = 20, required = false)]
    join_questions: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = schemas::AutoApprove, required = false)]
    auto_approve: Option<String>,
    /// All of them.
    #[serde(default, deserialize_with = "given")]
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

/// How affiliates join
#[utoipa::path(get, path = "/network/joining", tag = "Network", responses((status = 200, body = Joining)))]
pub(crate) async fn show(access: Allowed<needs::SeeNetwork>, api: Data<Api>) -> Answer<Joining> {
    let mut conn = access.network(&api.db).await?;
    let network = networks::current(&mut conn).await?;
    conn.commit().await?;
    Ok(Json(network.joining.into()))
}

/// Change how affiliates join
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
