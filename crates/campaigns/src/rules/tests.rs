use super::*;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn rule(conditions: Conditions) -> Rule {
    Rule {
        id: RuleId(1),
        version: 1,
        goal_id: GoalId(1),
        settings: RuleSettings {
            name: "Rule".into(),
            position: 1,
            conditions,
            commission_fixed_micros: 0,
            commission_rate_ppm: 120_000,
            revenue_fixed_micros: 0,
            revenue_rate_ppm: 150_000,
        },
        valid_from: at("2026-11-01T00:00:00Z"),
        valid_to: None,
    }
}

fn occasion<'a>() -> Occasion<'a> {
    Occasion {
        at: at("2026-11-21T00:00:00Z"),
        affiliate_id: AffiliateId(1),
        group_id: Some(GroupId(7)),
        subs: [Some("news"), None, None, None, None],
        country: Some("DE"),
        coupon: Some("Spring20"),
        number_in_month: 101,
    }
}

#[test]
fn all_conditions_of_a_rule_must_match() {
    let fits = |change: fn(&mut Conditions)| {
        let mut conditions = Conditions::default();
        change(&mut conditions);
        rule(conditions).fits(&occasion(), Some("Shoes"))
    };
    assert!(fits(|_| {}));
    assert!(fits(|rule| rule.affiliate_id = Some(AffiliateId(1))));
    assert!(!fits(|rule| rule.affiliate_id = Some(AffiliateId(2))));
    assert!(fits(|rule| rule.group_id = Some(GroupId(7))));
    assert!(!fits(|rule| rule.group_id = Some(GroupId(8))));
    assert!(fits(|rule| rule.country = Some("de".into())));
    assert!(!fits(|rule| rule.country = Some("AT".into())));
    assert!(fits(|rule| rule.coupon = Some("SPRING20".into())));
    assert!(!fits(|rule| rule.coupon = Some("SPRING".into())));
    assert!(fits(|rule| rule.category = Some("shoes".into())));
    assert!(!fits(|rule| rule.category = Some("hats".into())));
    assert!(fits(|rule| rule.month_from = Some(101)));
    assert!(!fits(|rule| rule.month_from = Some(102)));
    let sub = |number, value: &str| {
        let conditions = Conditions {
            sub_number: Some(number),
            sub_value: Some(value.to_owned()),
            ..Conditions::default()
        };
        rule(conditions).fits(&occasion(), None)
    };
    assert!(sub(1, "news"));
    assert!(!sub(1, "News"), "sub ids are compared exactly");
    assert!(!sub(2, "news"));
    assert!(
        !fits(|rule| {
            rule.affiliate_id = Some(AffiliateId(1));
            rule.country = Some("AT".into());
        }),
        "one match does not make up for one mismatch"
    );
}

#[test]
fn a_rule_is_in_force_from_its_start_to_its_end() {
    let mut rule = rule(Conditions::default());
    let fits = |rule: &Rule, when: &str| {
        let occasion = Occasion {
            at: at(when),
            ..occasion()
        };
        rule.fits(&occasion, None)
    };
    assert!(!fits(&rule, "2026-10-31T23:59:59Z"));
    assert!(fits(&rule, "2026-11-01T00:00:00Z"));
    rule.valid_to = Some(at("2026-11-10T00:00:00Z"));
    assert!(fits(&rule, "2026-11-09T23:59:59Z"));
    assert!(!fits(&rule, "2026-11-10T00:00:00Z"));
}
