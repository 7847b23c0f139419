// @generated automatically by Diesel CLI.

diesel::table! {
    /// A brand (merchant) whose server sends postbacks.
    advertisers (network_id, id) {
        /// The tenant.
        network_id -> Int4,
        /// The advertiser.
        id -> Int4,
        /// As people see it.
        name -> Text,
        /// When the advertiser was created.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// A partner (publisher) who sends visitors and earns commission.
    affiliates (network_id, id) {
        /// The tenant.
        network_id -> Int4,
        /// The affiliate.
        id -> Int4,
        /// As people see it.
        name -> Text,
        /// When the affiliate was created.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// What an advertiser wants promoted.
    campaigns (network_id, id) {
        /// The tenant.
        network_id -> Int4,
        /// The campaign.
        id -> Int4,
        /// Whose campaign it is.
        advertiser_id -> Int4,
        /// As people see it.
        name -> Text,
        /// live: clicks are sent on and conversions count. paused: clicks get a page that says so.
        status -> Text,
        /// Where a click is sent: a URL with macros in path, query or fragment ({click_id}, {sub1} …).
        destination -> Text,
        /// ISO 4217: the currency of fixed commissions, and of postbacks that name none.
        currency -> Text,
        /// How many days after a click a conversion still counts.
        attribution_days -> Int4,
        /// When the campaign was created.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// Clicks per hour and link.
    click_rollups (network_id, hour, campaign_id, affiliate_id, link_id) {
        /// The tenant.
        network_id -> Int4,
        /// Start of the hour on the network's clock (so half-hour time zones have exact days).
        hour -> Timestamptz,
        /// The campaign.
        campaign_id -> Int4,
        /// The affiliate.
        affiliate_id -> Int4,
        /// The tracking link.
        link_id -> Int4,
        /// How many.
        clicks -> Int8,
    }
}

diesel::table! {
    /// One visit through a tracking link. No foreign keys: the ids come from the link that was just looked up, and checking them again would cost the visitor time.
    clicks (network_id, id) {
        /// The tenant.
        network_id -> Int4,
        /// time (48 bits, ms) · link (32) · random (48): the heart of the click id, so it sorts by time.
        id -> Uuid,
        /// When the visit reached us.
        clicked_at -> Timestamptz,
        /// The tracking link.
        link_id -> Int4,
        /// The link's campaign at that time.
        campaign_id -> Int4,
        /// The link's affiliate at that time.
        affiliate_id -> Int4,
        /// The affiliate's own first sub id.
        sub1 -> Nullable<Text>,
        /// The affiliate's own second sub id.
        sub2 -> Nullable<Text>,
        /// The affiliate's own third sub id.
        sub3 -> Nullable<Text>,
        /// The affiliate's own fourth sub id.
        sub4 -> Nullable<Text>,
        /// The affiliate's own fifth sub id.
        sub5 -> Nullable<Text>,
        /// The visitor's /24 (IPv4) or /48 (IPv6). The full address is never stored.
        ip_prefix -> Nullable<Inet>,
        /// User-Agent header, at most 512 characters.
        user_agent -> Nullable<Text>,
        /// Referer header, at most 1024 characters.
        referrer -> Nullable<Text>,
    }
}

diesel::table! {
    /// Conversions and their money per hour, link, goal, currency and status. A change of status moves the sums from one row to another.
    conversion_rollups (network_id, hour, campaign_id, affiliate_id, link_id, goal_id, currency, status) {
        /// The tenant.
        network_id -> Int4,
        /// Start of the hour of the conversion on the network's clock.
        hour -> Timestamptz,
        /// The campaign.
        campaign_id -> Int4,
        /// The affiliate.
        affiliate_id -> Int4,
        /// The tracking link.
        link_id -> Int4,
        /// The goal.
        goal_id -> Int4,
        /// ISO 4217: sums are kept per currency.
        currency -> Text,
        /// Status of the conversions summed here.
        status -> Text,
        /// How many.
        conversions -> Int8,
        /// Sum of order amounts.
        amount_micros -> Int8,
        /// Sum of commissions.
        commission_micros -> Int8,
        /// Sum of revenue.
        revenue_micros -> Int8,
    }
}

diesel::table! {
    /// A postback that was accepted for a goal. Survives the purge of its click and postback rows, so it does not refer to them by foreign key.
    conversions (network_id, id) {
        /// The tenant.
        network_id -> Int4,
        /// The conversion (cnv_…); sorts by time.
        id -> Uuid,
        /// When the postback reached us.
        converted_at -> Timestamptz,
        /// Who owes.
        advertiser_id -> Int4,
        /// The campaign of the click.
        campaign_id -> Int4,
        /// The goal reached.
        goal_id -> Int4,
        /// Who earns.
        affiliate_id -> Int4,
        /// The tracking link of the click.
        link_id -> Int4,
        /// The click it is attributed to.
        click_id -> Uuid,
        /// The postback that made it.
        postback_id -> Uuid,
        /// What the goal is unique by (order id or click id). The unique key makes duplicates impossible, for ever.
        unique_key -> Text,
        /// The advertiser's order id.
        order_id -> Nullable<Text>,
        /// Order amount; empty where none was sent.
        amount_micros -> Nullable<Int8>,
        /// ISO 4217: the currency of all three amounts.
        currency -> Text,
        /// What the affiliate earns.
        commission_micros -> Int8,
        /// What the advertiser owes.
        revenue_micros -> Int8,
        /// pending, then approved or rejected.
        status -> Text,
    }
}

diesel::table! {
    /// One kind of conversion of a campaign, with what it pays.
    goals (network_id, id) {
        /// The tenant.
        network_id -> Int4,
        /// The goal.
        id -> Int4,
        /// The campaign it belongs to.
        campaign_id -> Int4,
        /// What a postback names it by.
        code -> Text,
        /// As people see it.
        name -> Text,
        /// What makes a conversion the same one again: its order id, or its click.
        unique_by -> Text,
        /// Whether conversions start approved instead of pending.
        auto_approve -> Bool,
        /// What the affiliate earns per conversion, in micro-units of the campaign's currency.
        commission_fixed_micros -> Int8,
        /// What the affiliate earns of the order amount, in parts per million (10 % = 100 000).
        commission_rate_ppm -> Int4,
        /// What the advertiser owes per conversion, in micro-units of the campaign's currency.
        revenue_fixed_micros -> Int8,
        /// What the advertiser owes of the order amount, in parts per million.
        revenue_rate_ppm -> Int4,
        /// When the goal was created.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// One row: what all nodes on this database must agree on.
    installation (single) {
        /// Always true: keeps the table at one row.
        single -> Bool,
        /// Fingerprint of the installation secret. A node with another secret could not verify the click ids of its peers, so it refuses to start.
        secret_fingerprint -> Bytea,
    }
}

diesel::table! {
    /// How one advertiser's server talks to us.
    integrations (network_id, id) {
        /// The tenant.
        network_id -> Int4,
        /// The integration.
        id -> Int4,
        /// The advertiser whose server calls.
        advertiser_id -> Int4,
        /// SHA-256 of the postback token; the token itself is shown once and not kept.
        token_hash -> Bytea,
        /// The token's last four characters, so that people can tell tokens apart.
        token_hint -> Text,
        /// When the current token was made.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// Append-only money movements. The entries of one conversion sum to zero: the advertiser's debt is the affiliate's commission plus the network's margin. A balance is a sum; nothing is overwritten.
    ledger_entries (network_id, id) {
        /// The tenant.
        network_id -> Int4,
        /// The entry; sorts by time.
        id -> Uuid,
        /// When it was booked.
        booked_at -> Timestamptz,
        /// What it was booked for.
        conversion_id -> Uuid,
        /// earned: the conversion was made. rejected: it was rejected, and this entry takes the earned one back.
        kind -> Text,
        /// Whose account moves.
        account -> Text,
        /// Set for an advertiser's account.
        advertiser_id -> Nullable<Int4>,
        /// Set for an affiliate's account.
        affiliate_id -> Nullable<Int4>,
        /// ISO 4217.
        currency -> Text,
        /// Positive: the account gains. Negative: it owes.
        amount_micros -> Int8,
    }
}

diesel::table! {
    /// What a person may do in a network, and for whom.
    memberships (network_id, id) {
        /// The tenant.
        network_id -> Int4,
        /// The membership.
        id -> Int4,
        /// Who.
        person_id -> Int4,
        /// owner: everything in the network. advertiser, affiliate: what belongs to that party.
        role -> Text,
        /// The advertiser acted for; set with role advertiser only.
        advertiser_id -> Nullable<Int4>,
        /// The affiliate acted for; set with role affiliate only.
        affiliate_id -> Nullable<Int4>,
        /// When the membership was given.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// A network is the tenant: it owns every row that carries its id.
    networks (id) {
        /// Also the second field of every click id of this network.
        id -> Int4,
        /// As people see it.
        name -> Text,
        /// IANA name. Days in reports and the hours of rollups are of this zone.
        time_zone -> Text,
        /// ISO 4217. Proposed for new campaigns; sums are never converted silently.
        currency -> Text,
        /// When the network was created.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// One row per human being, whatever networks they work for.
    people (id) {
        /// The person.
        id -> Int4,
        /// Lower case; what a person signs in with.
        email -> Text,
        /// As colleagues see it.
        name -> Text,
        /// argon2id, PHC string format.
        password_hash -> Text,
        /// When the person was created.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// Every call of an advertiser's server, as it came, with the verdict it got; also the rejected and the unreadable ones.
    postbacks (network_id, id) {
        /// The tenant.
        network_id -> Int4,
        /// The receipt (pb_…) that the answer carries; sorts by time.
        id -> Uuid,
        /// When the call reached us.
        received_at -> Timestamptz,
        /// GET or POST.
        method -> Text,
        /// Request target as received, the token blanked but for its last four characters.
        target -> Text,
        /// Content-Type header as received.
        content_type -> Nullable<Text>,
        /// Body as received, the token blanked; empty for GET.
        body -> Bytea,
        /// Address of the advertiser's server (a company's machine, not a visitor).
        remote_ip -> Nullable<Inet>,
        /// accepted: a conversion was made. duplicate: it had been made before. rejected: it was not made.
        status -> Text,
        /// The reason code of the answer.
        reason -> Text,
        /// Status of the answer.
        http_status -> Int4,
        /// What happened, in a sentence.
        message -> Text,
        /// What to do about it.
        hint -> Nullable<Text>,
        /// Microseconds from the last byte of the call to the verdict.
        took_us -> Int4,
        /// The advertiser whose token it carried, when known.
        advertiser_id -> Nullable<Int4>,
        /// The campaign of the click, when known.
        campaign_id -> Nullable<Int4>,
        /// The goal reached, for accepted and duplicate ones.
        goal_id -> Nullable<Int4>,
        /// The click named, when its id is genuine.
        click_id -> Nullable<Uuid>,
        /// The conversion made, or the first one for a duplicate.
        conversion_id -> Nullable<Uuid>,
        /// order_id as sent.
        order_id -> Nullable<Text>,
        /// amount as sent, in micro-units.
        amount_micros -> Nullable<Int8>,
        /// currency as sent; empty where the campaign's was meant.
        currency -> Nullable<Text>,
        /// Parameters we have no field for, kept as an object of strings.
        extra -> Jsonb,
    }
}

diesel::table! {
    /// Who is signed in. Not a tenant's table: the cookie says nothing of a network, so it is found by its hash alone.
    sessions (token_hash) {
        /// SHA-256 of the cookie's 256 random bits; the cookie itself is not kept.
        token_hash -> Bytea,
        /// The network signed in to.
        network_id -> Int4,
        /// The membership acted under.
        membership_id -> Int4,
        /// When the person signed in.
        created_at -> Timestamptz,
        /// When the session ends, whatever happens.
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    /// Which network a click or postback belongs to, by its Host header. A reference table: host names are unique across networks.
    tracking_hosts (host) {
        /// Lower case, with the port where it is not the scheme's own.
        host -> Text,
        /// The network that owns the host.
        network_id -> Int4,
    }
}

diesel::table! {
    /// One affiliate's way into one campaign.
    tracking_links (network_id, id) {
        /// The tenant.
        network_id -> Int4,
        /// The link; the third field of every click id it gives out.
        id -> Int4,
        /// The path of the link on the network's tracking host; case counts.
        alias -> Text,
        /// Who earns.
        affiliate_id -> Int4,
        /// What is promoted.
        campaign_id -> Int4,
        /// When the link was created.
        created_at -> Timestamptz,
    }
}

diesel::joinable!(advertisers -> networks (network_id));
diesel::joinable!(affiliates -> networks (network_id));
diesel::joinable!(campaigns -> networks (network_id));
diesel::joinable!(click_rollups -> networks (network_id));
diesel::joinable!(conversion_rollups -> networks (network_id));
diesel::joinable!(conversions -> networks (network_id));
diesel::joinable!(goals -> networks (network_id));
diesel::joinable!(integrations -> networks (network_id));
diesel::joinable!(ledger_entries -> networks (network_id));
diesel::joinable!(memberships -> networks (network_id));
diesel::joinable!(memberships -> people (person_id));
diesel::joinable!(postbacks -> networks (network_id));
diesel::joinable!(tracking_hosts -> networks (network_id));
diesel::joinable!(tracking_links -> networks (network_id));

diesel::allow_tables_to_appear_in_same_query!(
    advertisers,
    affiliates,
    campaigns,
    click_rollups,
    clicks,
    conversion_rollups,
    conversions,
    goals,
    installation,
    integrations,
    ledger_entries,
    memberships,
    networks,
    people,
    postbacks,
    sessions,
    tracking_hosts,
    tracking_links,
);
