//! Configuration that dimensions are derived from: the advertiser of a campaign, the group of an affiliate …

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;
use diesel::sql_types::{Array, Integer, Nullable, Text};
use diesel_async::RunQueryDsl;
use schema::NetworkConn;
use tenancy::Scope;

use crate::{Dimension, ReportQuery};

/// Two values that an object has today, by its id.
pub(crate) type Derived = HashMap<i32, [Option<Box<str>>; 2]>;

/// Configuration that a report uses.
#[derive(Debug, Default)]
pub(crate) struct Lookups {
    /// Advertiser and categories of each campaign; empty if no dimension needs them.
    pub(crate) campaigns: Derived,
    /// Group and tags of each affiliate; empty if no dimension needs them.
    pub(crate) affiliates: Derived,
    /// Manager of each affiliate; empty if no dimension needs them.
    pub(crate) managers: Derived,
    /// Links whose clicks count in no figure.
    pub(crate) test_links: HashSet<i32>,
    /// Goals that follow another goal, and that goal.
    pub(crate) later_goals: Vec<(i32, i32)>,
    /// Campaigns of the advertiser that the report is restricted to.
    pub(crate) visible_campaigns: Option<HashSet<i32>>,
    /// Affiliates that the report is restricted to.
    pub(crate) visible_affiliates: Option<HashSet<i32>>,
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Integer)]
    id: i32,
    #[diesel(sql_type = Nullable<Integer>)]
    owner: Option<i32>,
    #[diesel(sql_type = Array<Text>)]
    words: Vec<String>,
}

const CAMPAIGNS: &str =
    "SELECT id, advertiser_id AS owner, categories AS words FROM campaigns WHERE network_id = $1";
const AFFILIATES: &str = "SELECT id, group_id AS owner, tags AS words FROM affiliates WHERE network_id = $1";
const MANAGERS: &str =
    "SELECT id, manager_id AS owner, '{}'::text[] AS words FROM affiliates WHERE network_id = $1";
const LATER_GOALS: &str = "SELECT id, parent_goal_id AS owner, '{}'::text[] AS words FROM goals
     WHERE network_id = $1 AND parent_goal_id IS NOT NULL ORDER BY id";
const TEST_LINKS: &str = "SELECT id, NULL::integer AS owner, '{}'::text[] AS words FROM tracking_links
     WHERE network_id = $1 AND is_test";

impl Lookups {
    /// Reads the configuration that a query over the events in `scope` needs.
    pub(crate) async fn load(conn: &mut NetworkConn, query: &ReportQuery, scope: Scope) -> QueryResult<Self> {
        let uses = |dimensions: [Dimension; 2]| {
            query
                .dimensions()
                .any(|dimension| dimensions.contains(&dimension))
        };
        let derived = |found: Vec<Found>| -> Derived {
            let pair = |found: Found| {
                let owner = found.owner.map(|owner| owner.to_string().into());
                let words = (!found.words.is_empty()).then(|| found.words.join(", ").into());
                (found.id, [owner, words])
            };
            found.into_iter().map(pair).collect()
        };
        let mut lookups = Self::default();
        if uses([Dimension::Advertiser, Dimension::Categories]) {
            lookups.campaigns = derived(load(conn, CAMPAIGNS).await?);
        }
        if uses([Dimension::Group, Dimension::Tags]) {
            lookups.affiliates = derived(load(conn, AFFILIATES).await?);
        }
        if uses([Dimension::Manager; 2]) {
            lookups.managers = derived(load(conn, MANAGERS).await?);
        }
        if let Some(advertiser) = scope.advertiser {
            let campaigns = load(conn, CAMPAIGNS).await?.into_iter();
            let visible = campaigns.filter(|campaign| campaign.owner == Some(advertiser.0));
            lookups.visible_campaigns = Some(visible.map(|campaign| campaign.id).collect());
        }
        if let Some(manager) = scope.manager {
            let affiliates = load(conn, MANAGERS).await?.into_iter();
            let visible = affiliates.filter(|affiliate| affiliate.owner == Some(manager.0));
            lookups.visible_affiliates = Some(visible.map(|affiliate| affiliate.id).collect());
        }
        if let Some(affiliate) = scope.affiliate {
            lookups.visible_affiliates = Some(HashSet::from([affiliate.0]));
        }
        lookups.test_links = load(conn, TEST_LINKS)
            .await?
            .into_iter()
            .map(|link| link.id)
            .collect();
        let later_goals = load(conn, LATER_GOALS).await?.into_iter();
        lookups.later_goals = later_goals
            .filter_map(|goal| Some((goal.id, goal.owner?)))
            .collect();
        Ok(lookups)
    }
}

async fn load(conn: &mut NetworkConn, sql: &str) -> QueryResult<Vec<Found>> {
    diesel::sql_query(sql)
        .bind::<Integer, _>(conn.network_id())
        .load(&mut **conn)
        .await
}
