//! One form that makes a working campaign: advertiser, campaign, goal, a first affiliate with its link, and a token.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;
use campaigns::campaigns::{self as campaign_table, CampaignSettings, CampaignStatus};
use campaigns::destination::macro_names;
use campaigns::goals::{self, GoalKind, GoalSettings, UniqueBy};
use campaigns::links::{self, NewLink};
use campaigns::terms::{LOSES_MONEY, Pay, Terms};
use campaigns::{Destination, integrations};
use chrono::TimeDelta;
use schema::{Currency, clock};
use tenancy::advertisers::AdvertiserSettings;
use tenancy::affiliates::AffiliateSettings;
use tenancy::networks::{self, Network};
use tenancy::{FieldErrors, advertisers, affiliates, check_name, needs};

use crate::auth::Allowed;
use crate::error::PageError;
use crate::forms::{Choice, PostedForm};
use crate::shell::{PageResult, Shell, page, page_with, see_other, show_secret};
use crate::{Dashboard, urls};

/// The affiliate that the first link is for; its traffic is one's own.
const FIRST_AFFILIATE: &str = "Your test affiliate";

/// `GET /start`
pub(super) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::Configure>,
) -> PageResult {
    let network = network(&dashboard, &actor).await?;
    page(&Show {
        shell: Shell::new(
            &dashboard,
            &request,
            &actor,
            &network,
            "Campaigns",
            "New campaign",
        ),
        destination_hint: destination_hint(),
        kinds: kinds("sale"),
        form: StartForm {
            advertiser: String::new(),
            destination: String::new(),
            kind: "sale".to_owned(),
            commission: String::new(),
            revenue: String::new(),
            currency: network.currency.to_string(),
            window: "30".to_owned(),
            errors: FieldErrors::default(),
        },
    })
}

/// `POST /start`: makes all of it in one transaction, and shows the campaign with what to copy.
pub(super) async fn submit(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    actor: Allowed<needs::Configure>,
    form: PostedForm,
) -> PageResult {
    let network = network(&dashboard, &actor).await?;
    let (form, plan) = StartForm::read(&form);
    let Some(plan) = plan else {
        let shell = Shell::new(
            &dashboard,
            &request,
            &actor,
            &network,
            "Campaigns",
            "New campaign",
        );
        return page_with(
            StatusCode::UNPROCESSABLE_ENTITY,
            &Show {
                shell,
                destination_hint: destination_hint(),
                kinds: kinds(&form.kind),
                form,
            },
        );
    };
    let now = clock::now();
    let mut conn = actor.network(&dashboard.db).await?;
    let author = actor.author();
    let wanted = AdvertiserSettings::named(&plan.advertiser);
    let advertiser = match advertisers::matching(&mut conn, &wanted).await? {
        Some(known) => known,
        None => advertisers::create(&mut conn, &author, &wanted, now).await?,
    };
    let settings = match network.require_tests {
        true => CampaignSettings {
            status: CampaignStatus::Testing,
            ..plan.settings
        },
        false => plan.settings,
    };
    let campaign =
        campaign_table::create(&mut conn, &author, advertiser.id, plan.currency, &settings, now).await?;
    let goal = GoalSettings {
        unique_by: plan.kind.unique_by,
        ..GoalSettings::new(plan.kind.code, plan.kind.name, plan.kind.kind, plan.terms)
    };
    goals::create(&mut conn, &author, campaign.id, &goal, now).await?;
    let wanted = AffiliateSettings::named(FIRST_AFFILIATE);
    let affiliate = match affiliates::matching(&mut conn, &wanted).await? {
        Some(known) => known,
        None => affiliates::create(&mut conn, &author, &wanted, now).await?,
    };
    let alias = links::random_alias();
    let link = NewLink {
        is_test: network.require_tests,
        ..NewLink::plain(affiliate.id, campaign.id, &alias)
    };
    links::create(&mut conn, &author, &link, now).await?;
    // An advertiser that was here before keeps the token its server calls with.
    let known = integrations::find(&mut conn, advertiser.id).await?;
    let token = match known {
        Some(_) => None,
        None => {
            let at_once = TimeDelta::zero();
            Some(integrations::new_token(&mut conn, &author, advertiser.id, at_once, now).await?)
        }
    };
    conn.commit().await?;
    let page = urls::campaign(campaign.id);
    match token {
        Some(token) => show_secret(&dashboard, &page, token.as_str()),
        None => see_other(&page),
    }
}

fn destination_hint() -> String {
    format!("https://shop.example/?click_id={{click_id}} — {}", macro_names())
}

async fn network(dashboard: &Dashboard, actor: &Allowed<needs::Configure>) -> Result<Network, PageError> {
    let mut conn = actor.network(&dashboard.db).await?;
    let network = networks::current(&mut conn).await?;
    conn.commit().await?;
    Ok(network)
}

/// A kind of goal the form offers.
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

fn kinds(chosen: &str) -> Vec<Choice> {
    Choice::list(KINDS.map(|kind| (kind.code, kind.name)), chosen)
}

struct Plan {
    advertiser: String,
    settings: CampaignSettings,
    kind: Kind,
    terms: Terms,
    currency: Currency,
}

/// The form as typed, and what is wrong with it.
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
