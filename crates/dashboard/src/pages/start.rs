//! One form that makes a working campaign: advertiser, campaign, goal, a first affiliate with its link, and a token.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;
use campaigns::audience::Audience;
use campaigns::campaigns::{self as campaign_table, CampaignSettings, CampaignStatus};
use campaigns::destination::macro_names;
use campaigns::goals::{self, Commission, NewGoal, Revenue, UniqueBy};
use campaigns::{Destination, integrations, links};
use dialects::Amount;
use schema::{Currency, Money, clock};
use tenancy::advertisers::AdvertiserSettings;
use tenancy::affiliates::AffiliateSettings;
use tenancy::networks::{self, Network};
use tenancy::{FieldErrors, advertisers, affiliates, check_name, needs};

use super::campaigns::check_window;
use crate::Dashboard;
use crate::auth::Allowed;
use crate::error::PageError;
use crate::forms::{Choice, PostedForm};
use crate::shell::{PageResult, Shell, page, page_with, see_other, show_secret};
use crate::urls;

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
    let (currency, settings) = (plan.currency, &plan.settings);
    let campaign = campaign_table::create(&mut conn, &author, advertiser.id, currency, settings, now).await?;
    let goal = NewGoal {
        campaign_id: campaign.id,
        code: plan.kind.code,
        name: plan.kind.name,
        unique_by: plan.kind.unique_by,
        auto_approve: false,
        commission: Commission {
            fixed_micros: plan.commission.fixed_micros,
            rate_ppm: plan.commission.rate_ppm,
        },
        revenue: Revenue {
            fixed_micros: plan.revenue.fixed_micros,
            rate_ppm: plan.revenue.rate_ppm,
        },
    };
    goals::create(&mut conn, &author, &goal, now).await?;
    let wanted = AffiliateSettings::named(FIRST_AFFILIATE);
    let affiliate = match affiliates::matching(&mut conn, &wanted).await? {
        Some(known) => known,
        None => affiliates::create(&mut conn, &author, &wanted, now).await?,
    };
    let alias = links::random_alias();
    links::create(&mut conn, &author, affiliate.id, campaign.id, &alias, now).await?;
    // An advertiser that was here before keeps the token its server calls with.
    let has_token = integrations::token_hint(&mut conn, advertiser.id)
        .await?
        .is_some();
    let token = match has_token {
        true => None,
        false => Some(integrations::new_token(&mut conn, &author, advertiser.id, now).await?),
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
    unique_by: UniqueBy,
}

const KINDS: [Kind; 4] = [
    Kind {
        code: "sale",
        name: "Sale",
        unique_by: UniqueBy::Order,
    },
    Kind {
        code: "lead",
        name: "Lead",
        unique_by: UniqueBy::Click,
    },
    Kind {
        code: "install",
        name: "Install",
        unique_by: UniqueBy::Click,
    },
    Kind {
        code: "deposit",
        name: "Deposit",
        unique_by: UniqueBy::Order,
    },
];

fn kinds(chosen: &str) -> Vec<Choice> {
    Choice::list(KINDS.map(|kind| (kind.code, kind.name)), chosen)
}

/// A fixed sum, a share, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Terms {
    fixed_micros: i64,
    rate_ppm: i32,
}

impl Terms {
    /// Reads `10 %`, `12.00`, or `1.00 + 5 %`. Fixed sums are of a currency and can be paid in it.
    fn parse(text: &str, currency: Option<Currency>) -> Result<Self, String> {
        if text.is_empty() {
            return Err("Enter a share such as 10 %, a sum such as 12.00, or both: 1.00 + 5 %.".to_owned());
        }
        let (mut fixed, mut share) = (None, None);
        for part in text.split('+').map(str::trim) {
            let (number, slot) = match part.strip_suffix('%') {
                Some(number) => (number.trim_end(), &mut share),
                None => (part, &mut fixed),
            };
            let micros = Amount::parse(number)
                .map_err(|problem| format!("“{number}” {problem}."))?
                .micros;
            if slot.replace(micros).is_some() {
                return Err("Write at most one sum and one share: 1.00 + 5 %.".to_owned());
            }
        }
        let (fixed_micros, share) = (fixed.unwrap_or(0), share.unwrap_or(0));
        let finer = |currency| {
            !Money {
                micros: fixed_micros,
                currency,
            }
            .can_be_paid()
        };
        if let Some(currency) = currency.filter(|currency| finer(*currency)) {
            return Err(format!(
                "A sum in {currency} has at most {} decimals.",
                currency.decimals()
            ));
        }
        // 1 % is a million micro-units as a number and ten thousand parts per million.
        match i32::try_from(share / 100) {
            Ok(rate_ppm @ ..=1_000_000) if share % 100 == 0 => Ok(Self {
                fixed_micros,
                rate_ppm,
            }),
            Ok(..=1_000_000) => Err("A share has at most four decimals.".to_owned()),
            _ => Err("A share is at most 100 %.".to_owned()),
        }
    }
}

struct Plan {
    advertiser: String,
    settings: CampaignSettings,
    kind: Kind,
    commission: Terms,
    revenue: Terms,
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
        let commission = errors.take("commission", Terms::parse(&self.commission, currency));
        let revenue = errors.take("revenue", Terms::parse(&self.revenue, currency));
        let window = errors.take("window", check_window(&self.window));
        let (advertiser, kind) = (advertiser?, kind?);
        destination?;
        Some(Plan {
            settings: CampaignSettings {
                name: format!("{advertiser} {}", kind.name.to_lowercase()),
                status: CampaignStatus::Live,
                destination: self.destination.clone(),
                attribution_days: window?,
                audience: Audience::default(),
            },
            advertiser,
            kind,
            commission: commission?,
            revenue: revenue?,
            currency: currency?,
        })
    }
}

#[derive(Template)]
#[template(path = "start/show.html")]
struct Show {
    shell: Shell,
    destination_hint: String,
    kinds: Vec<Choice>,
    form: StartForm,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_read_as_people_write_them() {
        let read =
            |text| Terms::parse(text, "EUR".parse().ok()).map(|terms| (terms.fixed_micros, terms.rate_ppm));
        assert_eq!(read("10 %"), Ok((0, 100_000)));
        assert_eq!(read("7.25%"), Ok((0, 72_500)));
        assert_eq!(read("12.00"), Ok((12_000_000, 0)));
        assert_eq!(read("1.00 + 5 %"), Ok((1_000_000, 50_000)));
        for text in [
            "1.00 + 2.00",
            "5 % + 3 %",
            "1.005",
            "",
            "ten",
            "101 %",
            "0.00001 %",
            "-5",
            "1,5",
            "5 % of",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
