//! Import and export of configuration as CSV: `/{sheet}/import`, `/{sheet}/export`.

use actix_web::HttpResponse;
use campaigns::sheets::{self, Sheet};
use tenancy::needs;

use crate::auth::Allowed;
use crate::download::CsvParams;
use crate::error::ApiError;
use crate::state::Api;

async fn export_sheet(
    access: &Allowed<needs::SeeSetup>,
    api: &Api,
    params: &CsvParams,
    sheet: Sheet,
) -> Result<HttpResponse, ApiError> {
    let mut conn = access.network(&api.db).await?;
    let text = sheets::export(&mut conn, sheet).await?;
    conn.commit().await?;
    Ok(params.file(&format!("{sheet}.csv"), text))
}

/// Declares the two endpoints of each sheet.
macro_rules! endpoints {
    ($($module:ident: $sheet:ident, $tag:literal, $import:literal, $importing:literal, $export:literal, $exporting:literal, $example:literal;)+) => {
        $(pub(crate) mod $module {
            use actix_web::HttpResponse;
            use actix_web::web::Data;
            use campaigns::sheets::{self, Sheet};
            use schema::{NetworkConn, clock};
            use tenancy::{Author, needs};

            use crate::state::Api;
            use crate::auth::Allowed;
            use crate::download::CsvParams;
            use crate::error::ApiError;
            use crate::extract::{Csv, Params};
            use crate::idempotency::IdempotencyKey;
                        use crate::resources::parties::{self, ImportParams, ImportReport};

            #[utoipa::path(
                post, path = $import, tag = $tag, summary = $importing,
                description = "The first line contains the column names, as in the export. A row updates the object \
                               that it identifies, or creates it. Missing columns and empty cells keep existing \
                               values.",
                params(ImportParams, IdempotencyKey),
                request_body(content = String, content_type = "text/csv", example = $example),
                responses((status = 200, body = ImportReport))
            )]
            pub(crate) async fn import(
                access: Allowed<needs::Configure>,
                api: Data<Api>,
                Params(params): Params<ImportParams>,
                key: IdempotencyKey,
                Csv(text): Csv,
            ) -> Result<HttpResponse, ApiError> {
                let run = async |conn: &mut NetworkConn, author: &Author| {
                    sheets::import(conn, author, Sheet::$sheet, &text, clock::now()).await
                };
                parties::import(&access, &api, &key, &params, &text, run).await
            }

            #[utoipa::path(
                get, path = $export, tag = $tag, summary = $exporting,
                description = "The import accepts this file. An apostrophe precedes text that a spreadsheet would \
                               evaluate as a formula.",
                params(CsvParams),
                responses((status = 200, body = String, content_type = "text/csv"))
            )]
            pub(crate) async fn export(
                access: Allowed<needs::SeeSetup>,
                api: Data<Api>,
                Params(params): Params<CsvParams>,
            ) -> Result<HttpResponse, ApiError> {
                super::export_sheet(&access, &api, &params, Sheet::$sheet).await
            }
        })+
    };
}

endpoints! {
    campaign_sheet: Campaigns, "Campaigns", "/campaigns/import", "Import campaigns from CSV", "/campaigns/export", "Export campaigns to CSV", "name,advertiser,currency,destination\nNova shop,Nova Shoes,EUR,https://shop.example/?id={click_id}\n";
    goal_sheet: Goals, "Campaigns", "/goals/import", "Import goals from CSV", "/goals/export", "Export goals to CSV", "campaign,code,name,commission,revenue\nNova shop,sale,Sale,10 %,15 %\n";
    rule_sheet: Rules, "Campaigns", "/rules/import", "Import rules from CSV", "/rules/export", "Export rules to CSV", "campaign,goal,name,group,commission,revenue\nNova shop,sale,VIP partners,VIP,12 %,17 %\n";
    landing_page_sheet: LandingPages, "Campaigns", "/landing-pages/import", "Import landing pages from CSV", "/landing-pages/export", "Export landing pages to CSV", "campaign,name,url\nNova shop,Boots,https://shop.example/boots?id={click_id}\n";
    coupon_sheet: Coupons, "Campaigns", "/coupons/import", "Import coupons from CSV", "/coupons/export", "Export coupons to CSV", "campaign,code,affiliate\nNova shop,SUMMER,Orbit Blog\n";
    link_sheet: Links, "Links", "/links/import", "Import links from CSV", "/links/export", "Export links to CSV", "campaign,affiliate,alias\nNova shop,Orbit Blog,nova-blog\n";
}
