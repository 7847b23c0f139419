//! Campaigns: the list, and one campaign with its goals, tracking links and postback URL.

use std::collections::HashMap;

use actix_web::web;
use askama::Template;
use campaigns::campaigns::{self as campaign_table, Access, Campaign};
use campaigns::goals::{self, Goal};
use campaigns::integrations::{self, Holder, Token};
use campaigns::links;
use campaigns::promoters::{self, PromoterStatus};
use chrono::TimeDelta;
use schema::{CampaignId, Currency, NetworkConn, Words};
use tenancy::{Actor, Permission, needs};

use crate::error::PageError;
use crate::page::{Page, Submitted};
use crate::pages::id;
use crate::shell::{PageResult, Shell, done, html, set_cookie};
use crate::{labels, urls};

/// Maximum length of the note with which an affiliate applies, in characters.
const LONGEST_NOTE: usize = 1_000;
/// Maximum number of goals that the list of campaigns reads.
const GOALS: i64 = 10_000;
/// Maximum number of links on a campaign's page.
const LINKS: i64 = 500;

/// `GET /campaigns`
pub(super) async fn list(mut page: Page<needs::SeeCampaigns>) -> PageResult {
    let found = campaign_table::visible(&mut page.conn, page.actor.scope(), None).await?;
    let configure = page.actor.may(Permission::Configure);
    let waiting = if configure {
        promoters::waiting(&mut page.conn).await?
    } else {
        HashMap::new()
    };
    let goals = goals::list(&mut page.conn, None, None, GOALS).await?;
    let access = match page.actor.scope().affiliate {
        Some(own) => Some(promoters::of_affiliate(&mut page.conn, own).await?),
        None => None,
    };
    let frame = page.commit().await?;
    let sees_commission = frame.actor.may(Permission::SeeCommission);
    let pays = |campaign: &Campaign| {
        goals
            .iter()
            .filter(|goal| goal.campaign_id == campaign.id)
            .map(|goal| {
                let terms = goal.terms();
                let terms = if sees_commission {
                    terms.commission
                } else {
                    terms.revenue
                };
                (terms.in_words(campaign.currency), goal.settings.name.clone())
            })
            .collect()
    };
    html(&List {
        shell: frame.shell("Campaigns", "Campaigns"),
        pays: if sees_commission { "Payout" } else { "Revenue" },
        rows: found
            .into_iter()
            .map(|(campaign, advertiser)| CampaignRow {
                waiting: waiting.get(&campaign.id).copied().unwrap_or_default(),
                url: urls::campaign(campaign.id),
                promoting: access.as_ref().map_or(Promoting::None, |access| {
                    Promoting::of(&campaign, access.get(&campaign.id).copied())
                }),
                visitors: visitors(&campaign),
                terms: campaign.offer.terms.clone(),
                pays: pays(&campaign),
                name: campaign.name,
                status: campaign.status.as_str(),
                advertiser,
                window: campaign.attribution_days,
            })
            .collect(),
        may_configure: configure,
        may_promote: access.is_some(),
    })
}

/// Visitors that a campaign pays for, in words.
fn visitors(campaign: &Campaign) -> String {
    let listed = |words: &Words, all: &str| match words.0.as_slice() {
        [] => all.to_owned(),
        words => words.join(", "),
    };
    let audience = &campaign.audience;
    let countries = listed(&audience.countries, "All countries");
    let devices = listed(&audience.devices, "all devices");
    format!("{countries} · {devices}")
}

/// `GET /campaigns/{id}`
pub(super) async fn show(mut page: Page<needs::SeeCampaigns>, path: web::Path<String>) -> PageResult {
    let campaign = find(&mut page.conn, &page.actor, &path).await?;
    let token = page.request.fresh_secret().map(|text| Token::from_call(&text));
    let url = urls::campaign(campaign.id);
    let end_flash = page.request.dashboard.cookies.end_flash(&url);
    let mut response = render(page, campaign, token).await?;
    set_cookie(&mut response, &end_flash);
    Ok(response)
}

/// `POST /campaigns/{id}/ask`: an affiliate applies to promote the campaign.
pub(super) async fn ask(
    Submitted(mut page, form): Submitted<needs::MakeLinks>,
    path: web::Path<String>,
) -> PageResult {
    let campaign = find(&mut page.conn, &page.actor, &path).await?;
    let own = page.actor.scope().affiliate;
    let affiliate_id = own.ok_or_else(|| {
        PageError::BadRequest("Only affiliates can apply to promote a campaign.".to_owned())
    })?;
    let note: String = form.get("note").chars().take(LONGEST_NOTE).collect();
    promoters::ask(
        &mut page.conn,
        &page.actor.author(),
        &campaign,
        affiliate_id,
        note,
        page.now,
    )
    .await?;
    page.commit().await?;
    done(
        &urls::campaign(campaign.id),
        "Your application was sent to the network.",
    )
}

/// `POST /campaigns/{id}/token`: replaces the postback token of the campaign's integration, which may be its advertiser's,
/// and shows the new token once.
pub(super) async fn new_token(
    Submitted(mut page, _): Submitted<needs::RotateToken>,
    path: web::Path<String>,
) -> PageResult {
    let campaign = find(&mut page.conn, &page.actor, &path).await?;
    let author = page.actor.author();
    let overlap = TimeDelta::zero();
    let holder = match integrations::lock(&mut page.conn, &campaign).await? {
        Some(_) => Holder::from(&campaign),
        None => campaign.advertiser_id.into(),
    };
    let token = integrations::new_token(&mut page.conn, &author, holder, overlap, page.now).await?;
    let frame = page.commit().await?;
    frame
        .request
        .show_secret(&urls::campaign(campaign.id), token.as_str())
}

/// Campaign of a path, if the actor may see it.
pub(crate) async fn find(conn: &mut NetworkConn, actor: &Actor, path: &str) -> Result<Campaign, PageError> {
    let campaign_id: CampaignId = id(path)?;
    let mut visible = campaign_table::visible(conn, actor.scope(), Some(campaign_id)).await?;
    let (campaign, _) = visible.pop().ok_or(PageError::NotFound)?;
    Ok(campaign)
}

async fn render<P>(mut page: Page<P>, campaign: Campaign, token: Option<Token>) -> PageResult {
    let goals = goals::of_campaign(&mut page.conn, campaign.id).await?;
    let found = links::all(&mut page.conn, page.actor.scope(), Some(campaign.id), LINKS).await?;
    let tracking_url = page.tracking_url().await?;
    let integrations = integrations::of_advertiser(&mut page.conn, campaign.advertiser_id).await?;
    let configure = page.actor.may(Permission::Configure);
    let promoting = match page.actor.scope().affiliate {
        Some(own) => {
            let promoter = promoters::find(&mut page.conn, campaign.id, own).await?;
            Promoting::of(&campaign, promoter.map(|promoter| promoter.status))
        }
        None => Promoting::None,
    };
    let frame = page.commit().await?;

    let first_goal = goals.first().map_or("GOAL", |goal| goal.code());
    html(&Show {
        shell: frame.shell("Campaigns", &campaign.name),
        url: urls::campaign(campaign.id),
        settings_url: urls::campaign_settings(campaign.id),
        report: format!("/reports?campaign={}&group=affiliate,day", campaign.id),
        status: campaign.status.as_str(),
        window: campaign.attribution_days,
        goals: goals
            .iter()
            .map(|goal| GoalRow::new(goal, &goals, campaign.currency))
            .collect(),
        links: found
            .into_iter()
            .map(|named| LinkRow {
                page: urls::link(named.link.id),
                url: format!("{tracking_url}/{}", named.link.alias),
                affiliate: named.affiliate,
                is_test: named.link.is_test,
            })
            .collect(),
        postback_url: urls::postback_template(&tracking_url, first_goal, token.as_ref()),
        fresh_token: token.as_ref().map(|token| token.as_str().to_owned()),
        has_own_integration: integrations.own_of(campaign.id).is_some(),
        token_hint: integrations.deciding(Some(campaign.id)).map(|integration| {
            (
                integration.token_hint.clone(),
                frame.time(integration.created_at).short,
            )
        }),
        may_configure: configure,
        may_link: configure || promoting == Promoting::May,
        promoting,
        categories: campaign.offer.categories.on_one_line(),
        terms: campaign.offer.terms,
        notes: campaign.offer.notes,
        sees_commission: frame.actor.may(Permission::SeeCommission),
        sees_revenue: frame.actor.may(Permission::SeeRevenue),
        sees_postbacks: frame.actor.may(Permission::SeePostbacks),
    })
}

/// Relation of the viewing affiliate to a campaign.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Promoting {
    /// The actor is no affiliate.
    None,
    /// The affiliate may create links.
    May,
    /// The affiliate may apply.
    MayAsk,
    /// The affiliate's application is pending.
    Asked,
    /// The affiliate has no access.
    MayNot,
}

impl Promoting {
    fn of(campaign: &Campaign, status: Option<PromoterStatus>) -> Self {
        match (campaign.offer.access, status) {
            _ if promoters::admits(campaign, status) => Self::May,
            (_, Some(PromoterStatus::Asked)) => Self::Asked,
            (Access::Approval, None) => Self::MayAsk,
            _ => Self::MayNot,
        }
    }
}

struct CampaignRow {
    url: String,
    name: String,
    status: &'static str,
    advertiser: String,
    /// Sums that its goals pay affiliates, or that the advertiser owes; each with the name of its goal.
    pays: Vec<(String, String)>,
    window: i32,
    waiting: i64,
    promoting: Promoting,
    /// Countries and devices of paid visitors.
    visitors: String,
    /// Rules that affiliates must follow; empty for none.
    terms: String,
}

struct LinkRow {
    page: String,
    url: String,
    affiliate: String,
    is_test: bool,
}

struct GoalRow {
    url: String,
    name: String,
    code: String,
    after: String,
    unique_by: &'static str,
    commission: String,
    revenue: String,
    starts: &'static str,
}

impl GoalRow {
    fn new(goal: &Goal, siblings: &[Goal], currency: Currency) -> Self {
        let (settings, terms) = (&goal.settings, goal.terms());
        let parent = settings.chain.parent_goal_id;
        let parent = siblings.iter().find(|sibling| Some(sibling.id) == parent);
        Self {
            url: urls::goal(goal.id),
            name: settings.name.clone(),
            code: settings.code.clone(),
            after: parent.map_or_else(|| "—".to_owned(), |parent| parent.settings.name.clone()),
            unique_by: labels::unique_by(settings.unique_by),
            commission: terms.commission.in_words(currency),
            revenue: terms.revenue.in_words(currency),
            starts: match (settings.auto_approve, settings.hold_days) {
                (true, 0) => "approved",
                _ => "pending",
            },
        }
    }
}

#[derive(Template)]
#[template(path = "campaigns/campaign/list.html")]
struct List {
    shell: Shell,
    /// Heading of what the goals pay.
    pays: &'static str,
    rows: Vec<CampaignRow>,
    may_configure: bool,
    /// True for an affiliate.
    may_promote: bool,
}

#[derive(Template)]
#[template(path = "campaigns/campaign/show.html")]
struct Show {
    shell: Shell,
    url: String,
    settings_url: String,
    report: String,
    status: &'static str,
    window: i32,
    goals: Vec<GoalRow>,
    links: Vec<LinkRow>,
    postback_url: String,
    fresh_token: Option<String>,
    has_own_integration: bool,
    token_hint: Option<(String, String)>,
    may_configure: bool,
    may_link: bool,
    promoting: Promoting,
    categories: String,
    terms: String,
    notes: String,
    sees_commission: bool,
    sees_revenue: bool,
    sees_postbacks: bool,
}
