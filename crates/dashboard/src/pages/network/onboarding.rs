//! Quick start: one form that creates a working campaign with advertiser, goal, first affiliate, link and token.

use askama::Template;
use campaigns::Destination;
use campaigns::campaigns::{self as campaign_table, CampaignSettings, CampaignStatus};
use campaigns::destination::macro_names;
use campaigns::goals::{self, GoalKind, GoalSettings, UniqueBy};
use campaigns::integrations::{self, Token};
use campaigns::links::{self, NewLink};
use campaigns::terms::{LOSES_MONEY, Pay, Terms};
use chrono::TimeDelta;
use schema::{CampaignId, Currency};
use tenancy::advertisers::AdvertiserSettings;
use tenancy::affiliates::AffiliateSettings;
use tenancy::{FieldErrors, advertisers, affiliates, check_name, needs};

use crate::error::PageError;
use crate::forms::{self, Choice, PostedForm};
use crate::page::{Page, Submitted};
use crate::shell::{PageResult, Shell, html_with, see_other};
use crate::urls;

/// Name of the affiliate that owns the first link, for the user's own test traffic.
const FIRST_AFFILIATE: &str = "Your test affiliate";

/// `GET /start`
pub(super) async fn show(page: Page<needs::Configure>) -> PageResult {
    let form = StartForm {
        advertiser: String::new(),
        destination: String::new(),
        kind: "sale".to_owned(),
        commission: String::new(),
        revenue: String::new(),
        currency: page.network.currency.to_string(),
        window: "30".to_owned(),
        errors: FieldErrors::default(),
    };
    render(page, form).await
}

/// `POST /start`: creates everything in one transaction, and redirects to the campaign.
pub(super) async fn submit(Submitted(mut page, form): Submitted<needs::Configure>) -> PageResult {
    let (form, plan) = StartForm::read(&form);
    let Some(plan) = plan else {
        return render(page, form).await;
    };
    let (campaign_id, token) = create(&mut page, plan).await?;
    let frame = page.commit().await?;
    let url = urls::campaign(campaign_id);
    match token {
        Some(token) => frame.request.show_secret(&url, token.as_str()),
        None => see_other(&url),
    }
}

async fn render(page: Page<needs::Configure>, form: StartForm) -> PageResult {
    let frame = page.commit().await?;
    html_with(
        forms::status(&form.errors),
        &Show {
            shell: frame.shell("Campaigns", "New campaign"),
            destination_hint: format!("https://shop.example/?click_id={{click_id}} — {}", macro_names()),
            kinds: Choice::list(KINDS.map(|kind| (kind.code, kind.name)), &form.kind),
            form,
        },
    )
}

/// Creates advertiser, campaign, goal, affiliate and link. Returns the new postback token, unless the advertiser has one.
async fn create(
    page: &mut Page<needs::Configure>,
    plan: Plan,
) -> Result<(CampaignId, Option<Token>), PageError> {
    let (author, now) = (page.actor.author(), page.now);
    let conn = &mut page.conn;
    let wanted = AdvertiserSettings::named(&plan.advertiser);
    let advertiser = match advertisers::matching(conn, &wanted).await? {
        Some(known) => known,
        None => advertisers::create(conn, &author, &wanted, now).await?,
    };
    let mut settings = plan.settings;
    if page.network.require_tests {
        settings.status = CampaignStatus::Testing;
    }
    let campaign =
        campaign_table::create(conn, &author, advertiser.id, plan.currency, &settings, now).await?;
    let goal = GoalSettings {
        unique_by: plan.kind.unique_by,
        ..GoalSettings::new(plan.kind.code, plan.kind.name, plan.kind.kind, plan.terms)
    };
    goals::create(conn, &author, campaign.id, &goal, now).await?;
    let wanted = AffiliateSettings::named(FIRST_AFFILIATE);
    let affiliate = match affiliates::matching(conn, &wanted).await? {
        Some(known) => known,
        None => affiliates::create(conn, &author, &wanted, now).await?,
    };
    let alias = links::random_alias();
    let link = NewLink {
        is_test: page.network.require_tests,
        ..NewLink::plain(affiliate.id, campaign.id, &alias)
    };
    links::create(conn, &author, &link, now).await?;
    // An advertiser that has a token keeps it, because its server uses it.
    let token = match integrations::find(conn, advertiser.id).await? {
        Some(_) => None,
        None => Some(integrations::new_token(conn, &author, advertiser.id, TimeDelta::zero(), now).await?),
    };
    Ok((campaign.id, token))
}

/// Goal that the form offers.
#[derive(Debug, Clone, Copy)]
struct Kind {
    code: &'static str,
    name: &'static str,
    kind: GoalKind,
    unique_by: UniqueBy,
}

const KINDS: [Kind; 4] = [
    Kind {
        code: "sale",
        name: "Sale",
        kind: GoalKind::Sale,
        unique_by: UniqueBy::Order,
    },
    Kind {
        code: "lead",
        name: "Lead",
        kind: GoalKind::Lead,
        unique_by: UniqueBy::Click,
    },
    Kind {
        code: "install",
        name: "Install",
        kind: GoalKind::Install,
        unique_by: UniqueBy::Click,
    },
    Kind {
        code: "deposit",
        name: "Deposit",
        kind: GoalKind::Deposit,
        unique_by: UniqueBy::Order,
    },
];

/// Checked input.
struct Plan {
    advertiser: String,
    settings: CampaignSettings,
    kind: Kind,
    terms: Terms,
    currency: Currency,
}

/// Input of the form, with its errors.
struct StartForm {
    advertiser: String,
    destination: String,
    kind: String,
    commission: String,
    revenue: String,
    currency: String,
    window: String,
    errors: FieldErrors,
}

impl StartForm {
    fn read(form: &PostedForm) -> (Self, Option<Plan>) {
        let field = |name| form.get(name).to_owned();
        let mut typed = Self {
            advertiser: field("advertiser"),
            destination: field("destination"),
            kind: field("kind"),
            commission: field("commission"),
            revenue: field("revenue"),
            currency: field("currency").to_uppercase(),
            window: field("window"),
            errors: FieldErrors::default(),
        };
        let plan = typed.check();
        (typed, plan)
    }

    fn check(&mut self) -> Option<Plan> {
        let errors = &mut self.errors;
        let advertiser = errors.take("advertiser", check_name(&self.advertiser));
        let destination = errors.take("destination", Destination::parse(&self.destination));
        let kind = KINDS
            .into_iter()
            .find(|kind| kind.code == self.kind)
            .ok_or("Choose one of the goals.");
        let kind = errors.take("kind", kind);
        let currency = errors.take("currency", self.currency.parse::<Currency>());
        let commission = errors.take("commission", Pay::typed(&self.commission, currency));
        let revenue = errors.take("revenue", Pay::typed(&self.revenue, currency));
        let window = errors.take("window", campaign_table::check_window(&self.window));
        let (advertiser, kind) = (advertiser?, kind?);
        let terms = Terms {
            commission: commission?,
            revenue: revenue?,
        };
        if terms.lose_money() {
            errors.add("revenue", LOSES_MONEY);
        }
        let name = format!("{advertiser} {}", kind.name.to_lowercase());
        let name = errors.take("advertiser", check_name(&name))?;
        destination?;
        if !errors.is_empty() {
            return None;
        }
        Some(Plan {
            settings: CampaignSettings {
                attribution_days: window?,
                ..CampaignSettings::live(&name, &self.destination)
            },
            advertiser,
            kind,
            terms,
            currency: currency?,
        })
    }
}

#[derive(Template)]
#[template(path = "network/onboarding/show.html")]
struct Show {
    shell: Shell,
    destination_hint: String,
    kinds: Vec<Choice>,
    form: StartForm,
}
