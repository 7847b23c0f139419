//! Page of an integration, of an advertiser or of one campaign: everything its developer needs, and the latest postbacks.

use std::collections::BTreeSet;
use std::sync::Arc;

use actix_web::http::StatusCode;
use askama::Template;
use campaigns::campaigns::{self as campaign_table, Campaign};
use campaigns::goals;
use campaigns::integrations::{self, AnswerFormat, ExampleValues, Holder, Integration, Integrations, Token};
use campaigns::{ClickId, ClickIds, Destination, going_live};
use chrono::{DateTime, Utc};
use postbacks::PostbackFilter;
use schema::{Currency, LinkId, NetworkConn};
use tenancy::advertisers::Advertiser;
use tenancy::networks::Network;
use tenancy::{Actor, Draft, Permission, Scope};

use super::snippets::{self, InBrowser, Snippet, Values};
use crate::error::PageError;
use crate::forms::{self, Choice, choices};
use crate::page::{Frame, Page, PageRequest};
use crate::pages::campaigns::going_live::section;
use crate::pages::postbacks::alerts;
use crate::pages::postbacks::postback::PostbackRow;
use crate::shell::{PageResult, Shell, html_with};
use crate::{labels, urls};

/// Number of the latest postbacks on the page.
const LATEST: i64 = 20;
/// Prefix of a new signing secret in the flash cookie, to distinguish it from a new token: tokens have no dot.
pub(super) const SIGNING: &str = "signing.";

/// Owner of an integration.
pub(super) enum Owner {
    Advertiser(Advertiser),
    Campaign(Box<Campaign>),
}

impl Owner {
    fn holder(&self) -> Holder {
        match self {
            Self::Advertiser(advertiser) => advertiser.id.into(),
            Self::Campaign(campaign) => campaign.as_ref().into(),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Advertiser(advertiser) => &advertiser.name,
            Self::Campaign(campaign) => &campaign.name,
        }
    }

    fn url(&self) -> String {
        match self {
            Self::Advertiser(advertiser) => urls::integration(advertiser.id),
            Self::Campaign(campaign) => urls::campaign_integration(campaign.id),
        }
    }

    /// Navigation entry of the page.
    fn section(&self, actor: &Actor) -> &'static str {
        match (self, actor.scope().advertiser) {
            (Self::Campaign(_), _) => section(actor),
            (Self::Advertiser(_), Some(_)) => "Integration",
            (Self::Advertiser(_), None) => "Advertisers",
        }
    }
}

/// Shows the integration with its settings, or with a draft of them.
pub(super) async fn render<P>(mut page: Page<P>, owner: Owner, draft: Option<Draft>) -> PageResult {
    let holder = owner.holder();
    let scope = Scope {
        advertiser: Some(holder.advertiser_id),
        ..page.actor.scope()
    };
    let url = page.tracking_url().await?;
    let fresh = Fresh::of(&page.request);
    let integrations = integrations::of_advertiser(&mut page.conn, holder.advertiser_id).await?;
    let signer = TestClicks {
        click_ids: &page.request.dashboard.click_ids,
        network: &page.network,
        now: page.now,
    };
    let goals = Goals::load(
        &mut page.conn,
        holder,
        &integrations,
        &url,
        fresh.token.as_ref(),
        signer,
    )
    .await?;
    let filter = PostbackFilter {
        scope,
        integration: holder.campaign_id,
        ..PostbackFilter::default()
    };
    let latest = postbacks::list(&mut page.conn, &filter, LATEST).await?;
    let alerts = alerts::unacknowledged(&mut page, scope).await?;
    let frame = page.commit().await?;

    let integration = integrations.deciding(holder.campaign_id);
    let click_parameters = goals.click_parameters();
    let (snippets, in_browser) = code(&frame, &url, &goals, &fresh, integration)?;
    let form = draft.or_else(|| integration.map(|integration| integration.settings.draft()));
    let status = form
        .as_ref()
        .map_or(StatusCode::OK, |form| forms::status(&form.errors));
    let form = form.unwrap_or_default();
    let title = format!("Integration of {}", owner.name());
    let tokens = integration.map(|integration| TokenTexts::new(integration, &frame));
    let tokens = tokens.unwrap_or_default();
    html_with(
        status,
        &Show {
            shell: frame.shell(owner.section(&frame.actor), &title),
            alerts: alerts::Notice::list(alerts, &frame),
            fresh_token: fresh.token.map(|token| token.as_str().to_owned()),
            fresh_signing_secret: fresh.signing_secret,
            requires_signature: requires_signature(integration),
            hides_refusals: integration.is_some_and(|integration| {
                let format = integration.settings.answer_format;
                matches!(format, AnswerFormat::AlwaysOk | AnswerFormat::Gif)
            }),
            token_hint: tokens.hint,
            previous_until: tokens.previous_until,
            advertisers_until: tokens.advertisers_until,
            has_secret: integration.is_some_and(|integration| integration.has_signing_secret()),
            may_rotate: frame.actor.may(Permission::RotateToken),
            may_invite: frame.actor.may(Permission::InviteParties),
            may_configure: frame.actor.may(Permission::Configure),
            url: owner.url(),
            advertisers: holder
                .campaign_id
                .map(|_| urls::integration(holder.advertiser_id)),
            others: goals.others,
            capture: format!("{}/capture.js", frame.request.dashboard.dashboard_url),
            click_parameters,
            warnings: integration.map_or_else(Vec::new, |integration| integration.settings.warnings()),
            ways: goals.ways,
            snippets,
            in_browser,
            refuses_browsers: integration.is_none_or(|integration| integration.refuses_browsers()),
            spelled: integration
                .and_then(|integration| PostbackFormat::new(integration.settings.dialect.as_deref()?, &url)),
            spellings: postback_formats(form.of("dialect")),
            formats: choices(
                AnswerFormat::ALL,
                labels::response_format,
                form.of("answer_format"),
            ),
            form,
            rows: latest
                .into_iter()
                .map(|(postback, advertiser)| PostbackRow::new(postback, advertiser, &frame))
                .collect(),
        },
    )
}

fn requires_signature(integration: Option<&Arc<Integration>>) -> bool {
    integration.is_some_and(|integration| integration.settings.requires_signature)
}

/// Code for the advertiser's server and for its pages.
fn code<P>(
    frame: &Frame<P>,
    url: &str,
    goals: &Goals,
    fresh: &Fresh,
    integration: Option<&Arc<Integration>>,
) -> Result<(Vec<Snippet>, InBrowser), askama::Error> {
    let postback_url = format!("{url}/postback");
    let first = goals.first.as_ref();
    let values = Values {
        postback_url: &postback_url,
        token: fresh.token.as_ref().map_or("YOUR_TOKEN", Token::as_str),
        secret: fresh.signing_secret.as_deref().unwrap_or("YOUR_SIGNING_SECRET"),
        goal: first.map_or("sale", |(goal, _)| goal.as_str()),
        currency: first
            .map_or(frame.network.currency, |(_, currency)| *currency)
            .code(),
        // A user who has just created a secret is about to sign. Signatures are accepted where they are not required.
        signed: requires_signature(integration) || fresh.signing_secret.is_some(),
    };
    Ok((snippets::all(values)?, snippets::in_browser(values)?))
}

/// New token or signing secret, shown once after it was created.
struct Fresh {
    token: Option<Token>,
    signing_secret: Option<String>,
}

impl Fresh {
    fn of(request: &PageRequest) -> Self {
        let fresh = request.fresh_secret();
        let signing_secret = fresh.as_deref().and_then(|text| text.strip_prefix(SIGNING));
        let token = fresh.as_deref().filter(|_| signing_secret.is_none());
        Self {
            token: token.map(Token::from_call),
            signing_secret: signing_secret.map(str::to_owned),
        }
    }
}

/// Maker of click IDs for examples: those of test links, which pay nothing.
struct TestClicks<'a> {
    click_ids: &'a ClickIds,
    network: &'a Network,
    now: DateTime<Utc>,
}

impl TestClicks<'_> {
    fn write(&self, link: LinkId) -> String {
        let id = ClickId {
            network_id: self.network.id,
            key: ClickIds::fresh_key(link, self.now),
        };
        self.click_ids.write(id, self.network.click_key)
    }
}

/// Goals that use an integration.
struct Goals {
    ways: Vec<Way>,
    /// Parameters in which the campaigns' landing pages receive the click ID.
    parameters: BTreeSet<String>,
    /// Campaigns with a specific integration, each with the URL of its page.
    others: Vec<(String, String)>,
    /// Code and currency of the first goal, for the snippets.
    first: Option<(String, Currency)>,
}

impl Goals {
    async fn load(
        conn: &mut NetworkConn,
        holder: Holder,
        integrations: &Integrations,
        url: &str,
        token: Option<&Token>,
        clicks: TestClicks<'_>,
    ) -> Result<Self, PageError> {
        let dialect = integrations.dialect(holder.campaign_id);
        let scope = Scope {
            advertiser: Some(holder.advertiser_id),
            ..Scope::default()
        };
        let mut all = Self {
            ways: Vec::new(),
            parameters: BTreeSet::new(),
            others: Vec::new(),
            first: None,
        };
        for (campaign, _) in campaign_table::visible(conn, scope, holder.campaign_id).await? {
            if holder.campaign_id.is_none() && integrations.own_of(campaign.id).is_some() {
                all.others
                    .push((campaign.name, urls::campaign_integration(campaign.id)));
                continue;
            }
            all.parameters.extend(click_parameter(&campaign));
            let link = going_live::test_link(conn, campaign.id).await?;
            let click = link.map(|link| clicks.write(link));
            let goals = goals::of_campaign(conn, campaign.id).await?;
            let names_goal = goals.len() > 1;
            for goal in goals {
                let values = ExampleValues {
                    base_url: url,
                    click_id: click.as_deref().unwrap_or("CLICK_ID"),
                    order_id: "TEST-1",
                    token: Some(token.map_or("YOUR_TOKEN", Token::as_str)),
                    names_goal,
                    amount_micros: ExampleValues::AMOUNT_MICROS,
                    currency: None,
                };
                let command = integrations::example_command(dialect, &campaign, &goal, values);
                all.first
                    .get_or_insert_with(|| (goal.settings.code.clone(), campaign.currency));
                all.ways.push(Way {
                    campaign: campaign.name.clone(),
                    command: command.unwrap_or_default(),
                    test: click.is_none().then(|| urls::test(campaign.id)),
                    once_per: labels::unique_by(goal.settings.unique_by),
                    goal: goal.settings.name,
                });
            }
        }
        Ok(all)
    }

    /// Names of the click parameters, ours if no campaign has one.
    fn click_parameters(&self) -> Vec<String> {
        if self.parameters.is_empty() {
            return vec!["click_id".to_owned()];
        }
        self.parameters.iter().cloned().collect()
    }
}

/// Parameter in which the landing page of a campaign receives the click ID; `None` if it is in the path.
fn click_parameter(campaign: &Campaign) -> Option<String> {
    let destination = Destination::completed(&campaign.destination, &campaign.sending).ok()?;
    destination.click_parameter().map(str::to_owned)
}

/// Example of a postback of one goal.
struct Way {
    campaign: String,
    goal: String,
    /// Command that sends it.
    command: String,
    /// Test page, where a test link can be created; `None` if the click ID of the command works.
    test: Option<String>,
    once_per: &'static str,
}

/// Texts about the tokens of an integration.
#[derive(Default)]
struct TokenTexts {
    /// Last characters of the token, and its creation time.
    hint: Option<(String, String)>,
    /// End of the validity of the previous token, if in the future.
    previous_until: Option<String>,
    /// End of the validity of the advertiser's token for this campaign, if in the future.
    advertisers_until: Option<String>,
}

impl TokenTexts {
    fn new<P>(integration: &Integration, frame: &Frame<P>) -> Self {
        let until = |end: Option<_>| {
            let end = end.filter(|end| *end > frame.now);
            end.map(|end| frame.time(end).full)
        };
        Self {
            hint: Some((
                integration.token_hint.clone(),
                frame.time(integration.created_at).short,
            )),
            previous_until: until(integration.previous_token_until),
            advertisers_until: until(integration.advertiser_token_until),
        }
    }
}

/// Postback format of another platform: the addresses for its postbacks, and its parameters.
struct PostbackFormat {
    name: &'static str,
    /// Document that the format was made from, and its kind.
    source: (&'static str, &'static str),
    addresses: Vec<String>,
    /// Names of a parameter, and the field it fills.
    names: Vec<(String, &'static str)>,
}

impl PostbackFormat {
    fn new(key: &str, base: &str) -> Option<Self> {
        let dialect = dialects::of_key(key)?;
        let named = format!("{base}/postback/{}", dialect.key);
        let own = dialect.paths().map(|path| format!("{base}{path}"));
        Some(Self {
            name: dialect.name,
            source: (dialect.source.document, dialect.source.evidence.words()),
            addresses: own.chain([named]).collect(),
            names: dialect
                .parameters()
                .map(|(names, field)| (names.join(", "), field.label()))
                .collect(),
        })
    }
}

fn postback_formats(chosen: &str) -> Vec<Choice> {
    let unknown = std::iter::once(("", "Unknown"));
    let known = dialects::all().iter().map(|dialect| (dialect.key, dialect.name));
    Choice::list(unknown.chain(known), chosen)
}

#[derive(Template)]
#[template(path = "integration/overview/show.html")]
struct Show {
    shell: Shell,
    alerts: Vec<alerts::Notice>,
    url: String,
    /// Page of the advertiser's integration. None on that page itself.
    advertisers: Option<String>,
    /// Campaigns with a specific integration, each with the URL of its page.
    others: Vec<(String, String)>,
    capture: String,
    click_parameters: Vec<String>,
    warnings: Vec<String>,
    ways: Vec<Way>,
    snippets: Vec<Snippet>,
    in_browser: InBrowser,
    refuses_browsers: bool,
    fresh_token: Option<String>,
    fresh_signing_secret: Option<String>,
    requires_signature: bool,
    hides_refusals: bool,
    token_hint: Option<(String, String)>,
    previous_until: Option<String>,
    advertisers_until: Option<String>,
    has_secret: bool,
    may_rotate: bool,
    may_invite: bool,
    may_configure: bool,
    spelled: Option<PostbackFormat>,
    spellings: Vec<Choice>,
    formats: Vec<Choice>,
    form: Draft,
    rows: Vec<PostbackRow>,
}
