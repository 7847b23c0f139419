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
        /// paused: nobody is sent to its campaigns and no conversion is made for it; those there are can be changed. archived: not offered for new campaigns; its running ones go on.
        status -> Text,
        /// What another system calls it; unique within the network.
        external_id -> Nullable<Text>,
        /// For the network's own people.
        notes -> Text,
        /// Words to find it by.
        tags -> Array<Nullable<Text>>,
        /// Counts changes: two people's edits do not overwrite each other.
        version -> Int4,
        /// Since when it is paused; NULL where it is not.
        paused_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Affiliates that are treated alike, such as by commission rules.
    affiliate_groups (network_id, id) {
        /// The tenant.
        network_id -> Int4,
        /// The group.
        id -> Int4,
        /// As people see it.
        name -> Text,
        /// When the group was created.
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
        /// paused: no new clicks, earlier clicks still convert. blocked: neither. archived: as paused, and out of the lists.
        status -> Text,
        /// The group it is treated with, if any.
        group_id -> Nullable<Int4>,
        /// What another system calls it; unique within the network.
        external_id -> Nullable<Text>,
        /// For the network's own people.
        notes -> Text,
        /// Words to find it by.
        tags -> Array<Nullable<Text>>,
        /// Counts changes: two people's edits do not overwrite each other.
        version -> Int4,
    }
}

diesel::table! {
    /// Integrations that seem to have failed: what made us think so, since when, and whether it is over.
    alerts (network_id, id) {
        /// The tenant.
        network_id -> Int4,
        /// The alert; sorts by when it was opened.
        id -> Uuid,
        /// Whose postbacks they are.
        advertiser_id -> Int4,
        /// silent: nothing comes although visitors do. rejections: much more is rejected than before.
        kind -> Text,
        /// When the last postback came, or the first of the rejected ones that are counted.
        since -> Timestamptz,
        /// When it was noticed.
        opened_at -> Timestamptz,
        /// The figures it was last seen with.
        finding -> Jsonb,
        /// When it was over; NULL while it is not.
        closed_at -> Nullable<Timestamptz>,
        /// When somebody of the network said that they know; NULL until then.
        seen_at -> Nullable<Timestamptz>,
        /// Who, in words.
        seen_by -> Nullable<Text>,
        /// When it had been mailed; NULL until then.
        told_at -> Nullable<Timestamptz>,
        /// When its end had been mailed; NULL until then.
        end_told_at -> Nullable<Timestamptz>,
        /// Before this, nobody else mails it: who mails it puts this off first.
        tell_after -> Timestamptz,
    }
}

diesel::table! {
    /// What a program signs in with: never more than its maker may do, and of that only its scopes.
    api_keys (network_id, id) {
        /// The tenant.
        network_id -> Int4,
        /// The key.
        id -> Int4,
        /// Under whose membership it acts; it ends with that.
        membership_id -> Int4,
        /// What it is for, as people see it.
        name -> Text,
        /// SHA-256 of the key; the key itself is shown once and not kept.
        key_hash -> Bytea,
        /// The key's last four characters, so that people can tell keys apart.
        key_hint -> Text,
        /// What it may be used for.
        scopes -> Array<Nullable<Text>>,
        /// When it was made.
        created_at -> Timestamptz,
        /// When it stops working by itself, if it does.
        expires_at -> Nullable<Timestamptz>,
        /// When it was last used, to the minute.
        used_at -> Nullable<Timestamptz>,
        /// When it was revoked; NULL while it works.
        ended_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Somebody who asks to become an affiliate.
    applications (network_id, id) {
        /// The tenant.
        network_id -> Int4,
        /// The application.
        id -> Int4,
        /// SHA-256 of the token in the address of the applicant's status page.
        token_hash -> Bytea,
        /// What the affiliate will be called.
        name -> Text,
        /// Lower case; who will be invited.
        email -> Text,
        /// Where the visitors will come from, as typed.
        website -> Text,
        /// An array of {question, answer}, as the questions were when they were asked.
        answers -> Jsonb,
        /// pending until somebody, or a rule, decides.
        status -> Text,
        /// Why it was declined, as the applicant is told; empty otherwise.
        reason -> Text,
        /// What became of an approved one.
        affiliate_id -> Nullable<Int4>,
        /// When it was sent.
        created_at -> Timestamptz,
        /// When it was decided.
        decided_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Every change of configuration, money, roles and keys, and every sign-in: who, when, from where, before and after. Only ever added to.
    audit_log (network_id, id) {
        /// The tenant.
        network_id -> Int4,
        /// The entry; sorts by time.
        id -> Uuid,
        /// When it happened.
        at -> Timestamptz,
        /// Who did it; NULL where no person did.
        person_id -> Nullable<Int4>,
        /// Who did it, in words, as they were called then.
        author -> Text,
        /// By what means.
        via -> Text,
        /// From where.
        remote_ip -> Nullable<Inet>,
        /// What was done: a thing and a verb, such as campaign.update.
        action -> Text,
        /// The id of what it was done to.
        object -> Text,
        /// What that was called then.
        object_name -> Text,
        /// The fields that changed, as they were; an empty object where there was nothing.
        before -> Jsonb,
        /// The fields that changed, as they are; an empty object where there is nothing.
        after -> Jsonb,
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
        /// draft: nobody is sent. testing: test links only; nothing is paid. live: clicks are sent on and conversions count. paused: clicks get a page that says so; those made before still count. ended: neither.
        status -> Text,
        /// Where a click is sent: a URL with macros in path, query or fragment ({click_id}, {sub1} …).
        destination -> Text,
        /// ISO 4217: the currency of fixed commissions, and of postbacks that name none.
        currency -> Text,
        /// How many days after a click a conversion still counts.
        attribution_days -> Int4,
        /// When the campaign was created.
        created_at -> Timestamptz,
        /// ISO 3166-1 codes of where its visitors should come from; none means anywhere.
        countries -> Array<Nullable<Text>>,
        /// What its visitors should use; none means anything.
        devices -> Array<Nullable<Text>>,
        /// What the advertiser's or a former system calls it; postbacks may name it by this.
        external_id -> Nullable<Text>,
        /// What the destination calls the click id; added to destinations that have no {click_id}. NULL where each destination says it itself.
        click_parameter -> Nullable<Text>,
        /// Parameters added to every destination, as a=b&c={sub1}.
        extra_parameters -> Text,
        /// Share of the clicks without a landing page of their own that go to the destination, beside the weights of landing pages.
        destination_weight -> Int4,
        /// Hosts that links may lead to directly (with what is below them); none means no deep links.
        deep_link_hosts -> Array<Nullable<Text>>,
        /// From when on visitors are sent; NULL for at once.
        starts_at -> Nullable<Timestamptz>,
        /// Until when; NULL for as long as it is live.
        ends_at -> Nullable<Timestamptz>,
        /// How old a click must be for a conversion to count: nobody buys within a second.
        attribution_min_seconds -> Int4,
        /// Where visitors go whom the campaign does not want or who come beyond a cap; NULL sends them on all the same.
        fallback_url -> Nullable<Text>,
        /// open: every affiliate may promote it. approval: who asked and was let. private: who was invited.
        access -> Text,
        /// Words affiliates find it by.
        categories -> Array<Nullable<Text>>,
        /// What affiliates agree to.
        terms -> Text,
        /// What affiliates should know.
        notes -> Text,
    }
}

diesel::table! {
    /// How much of something a campaign wants, of everybody together or of one affiliate.
    caps (network_id, id) {
        /// The tenant.
        network_id -> Int4,
        /// The cap.
        id -> Int4,
        /// The campaign.
        campaign_id -> Int4,
        /// Of this affiliate only; NULL for all together.
        affiliate_id -> Nullable<Int4>,
        /// Of what: valid clicks, conversions that are not rejected, their commission or revenue.
        metric -> Text,
        /// In a day or month on the network's clock, or ever.
        period -> Text,
        /// A number, or micro-units of the campaign's currency.
        most -> Int8,
        /// When it was set.
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
        /// How many of them were the visitor's first of the day.
        unique_clicks -> Int8,
        /// How many of them carry a flag.
        invalid_clicks -> Int8,
    }
}

diesel::table! {
    /// Visits through tracking links. Only ever added to; a month is dropped as a whole.
    clicks (network_id, id) {
        /// The tenant.
        network_id -> Int4,
        /// time (48 bits of milliseconds) · link (32) · random (48): the key of the click, part of its click id.
        id -> Uuid,
        /// When the visitor reached us.
        clicked_at -> Timestamptz,
        /// The tracking link.
        link_id -> Int4,
        /// The link's campaign.
        campaign_id -> Int4,
        /// The link's affiliate.
        affiliate_id -> Int4,
        /// The visitor's first of the day through this affiliate for this campaign.
        is_unique -> Bool,
        /// Why the click is not a valid one; NULL for a valid one. It was redirected and counts as what it is.
        flag -> Nullable<Text>,
        /// Keyed hash of the visitor's address and browser, under a key of the node and the day that is thrown away: equal only on that day.
        visitor -> Nullable<Int8>,
        /// ISO 3166-1 code; NULL where it is not known.
        country -> Nullable<Text>,
        /// Number of the autonomous system the visitor came from; NULL where it is not known.
        asn -> Nullable<Int8>,
        /// desktop, mobile, tablet, tv or other.
        device -> Text,
        /// Family of the operating system.
        os -> Nullable<Text>,
        /// Family of the browser, or name of the robot.
        browser -> Nullable<Text>,
        /// The affiliate's own value.
        sub1 -> Nullable<Text>,
        /// The affiliate's own value.
        sub2 -> Nullable<Text>,
        /// The affiliate's own value.
        sub3 -> Nullable<Text>,
        /// The affiliate's own value.
        sub4 -> Nullable<Text>,
        /// The affiliate's own value.
        sub5 -> Nullable<Text>,
        /// The visitor's network: /24 of IPv4, /48 of IPv6. The address itself is not kept.
        ip_prefix -> Nullable<Inet>,
        /// Referer header, at most 1024 characters.
        referrer -> Nullable<Text>,
    }
}

diesel::table! {
    /// What a goal pays to some: the first rule that fits wins. A row is never changed: a change closes it and adds the next version.
    commission_rules (network_id, id, version) {
        /// The tenant.
        network_id -> Int4,
        /// The rule, the same in all its versions.
        id -> Int4,
        /// Counts its changes.
        version -> Int4,
        /// The goal.
        goal_id -> Int4,
        /// Its place: lower ones are looked at first.
        position -> Int4,
        /// As people see it.
        name -> Text,
        /// For this affiliate only.
        affiliate_id -> Nullable<Int4>,
        /// For affiliates of this group only.
        group_id -> Nullable<Int4>,
        /// Which sub id of the click must have the value.
        sub_number -> Nullable<Int2>,
        /// The value it must have.
        sub_value -> Nullable<Text>,
        /// For orders from this country (ISO 3166-1) only.
        country -> Nullable<Text>,
        /// For orders with this coupon code only; letter case does not count.
        coupon -> Nullable<Text>,
        /// For the items of this category only: each item is paid by its own rule.
        category -> Nullable<Text>,
        /// From the affiliate's so-many-th conversion of the goal in a month on: a tier.
        month_from -> Nullable<Int4>,
        /// As goals.commission_fixed_micros.
        commission_fixed_micros -> Int8,
        /// As goals.commission_rate_ppm.
        commission_rate_ppm -> Int4,
        /// As goals.revenue_fixed_micros.
        revenue_fixed_micros -> Int8,
        /// As goals.revenue_rate_ppm.
        revenue_rate_ppm -> Int4,
        /// From when on it is in force.
        valid_from -> Timestamptz,
        /// Until when; NULL for the current version.
        valid_to -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// What was said of a conversion after it was made, and what it was made with. What it is now follows from the set of these, in whatever order they came.
    conversion_changes (network_id, conversion_id, id) {
        /// The tenant.
        network_id -> Int4,
        /// The conversion.
        conversion_id -> Uuid,
        /// The postback that said it, or a number of its own.
        id -> Uuid,
        /// When it reached us.
        changed_at -> Timestamptz,
        /// When it happened, as the sender says.
        event_time -> Nullable<Timestamptz>,
        /// report: what it was made with. postback: the advertiser changed it. person: somebody of the network did. hold: its time was over.
        source -> Text,
        /// The status it was given.
        status -> Nullable<Text>,
        /// The amount it was given.
        amount_micros -> Nullable<Int8>,
        /// How much of the amount was taken back.
        refund_micros -> Nullable<Int8>,
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
        /// The click it is attributed to; NULL where a coupon or the affiliate's key says whose it is.
        click_id -> Nullable<Uuid>,
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
        /// pending, then approved or rejected; reversed where an approved one was taken back.
        status -> Text,
        /// What says whose it is: its click, the customer's earlier conversion, a coupon, or the affiliate named by the sender.
        attributed_by -> Text,
        /// The conversion of the parent goal it came after.
        parent_id -> Nullable<Uuid>,
        /// The advertiser's own id of the customer.
        customer_id -> Nullable<Text>,
        /// The coupon code it came with.
        coupon -> Nullable<Text>,
        /// The country it came from, as the advertiser says.
        country -> Nullable<Text>,
        /// Why it pays nothing although the goal does; NULL where it pays.
        unpaid_because -> Nullable<Text>,
        /// When it approves itself, unless somebody must look first; NULL where a person decides or it was decided.
        hold_until -> Nullable<Timestamptz>,
        /// How the money was computed: rule, version, rates, and what went in.
        terms -> Jsonb,
        /// Why it is pending until somebody of the network has looked: its amount is above the goal's limit, or in a currency that cannot be compared with it. NULL where nobody must look, or somebody has.
        review_because -> Nullable<Text>,
    }
}

diesel::table! {
    /// Coupon codes by which an order without a click is an affiliate's.
    coupons (network_id, campaign_id, code) {
        /// The tenant.
        network_id -> Int4,
        /// The campaign whose orders carry it.
        campaign_id -> Int4,
        /// In upper case: letter case does not count.
        code -> Text,
        /// Who hands it out.
        affiliate_id -> Int4,
        /// When it was entered.
        created_at -> Timestamptz,
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
        /// What makes a conversion the same one again: its order id, its click, its customer, or nothing (every fire counts).
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
        /// What kind of thing it is.
        kind -> Text,
        /// What the advertiser's or a former system calls it; postbacks may name it by this.
        external_id -> Nullable<Text>,
        /// How many days a conversion waits before it approves itself, where the goal approves.
        hold_days -> Int4,
        /// Names that a postback must carry.
        required_parameters -> Array<Nullable<Text>>,
        /// Names that a postback must not carry.
        forbidden_parameters -> Array<Nullable<Text>>,
        /// The amount of a postback that carries none, in micro-units of the campaign's currency.
        default_amount_micros -> Nullable<Int8>,
        /// The goal that must have been reached before, by the same click or customer.
        parent_goal_id -> Nullable<Int4>,
        /// How long a postback waits for its parent, or for the order it changes.
        wait_hours -> Int4,
        /// How often it counts after one conversion of its parent: the number of paid renewals. NULL for always.
        times_per_parent -> Nullable<Int4>,
        /// Counts changes of what it pays.
        version -> Int4,
        /// Since when it pays what it pays.
        changed_at -> Timestamptz,
        /// Above which amount, in micro-units of the campaign's currency, somebody of the network must look at a conversion before it is approved; NULL for never.
        review_above_micros -> Nullable<Int8>,
    }
}

diesel::table! {
    /// The answers of API calls that carried an Idempotency-Key, kept in the transaction of the change itself: repeated, the call changes nothing and is answered the same. Kept for a day.
    idempotency_keys (network_id, membership_id, key) {
        /// The tenant.
        network_id -> Int4,
        /// Whose key it is: keys of different callers do not meet.
        membership_id -> Int4,
        /// As the caller sent it.
        key -> Text,
        /// SHA-256 of method, path and body: the same key with another request is an error.
        request_hash -> Bytea,
        /// HTTP status of the answer.
        status -> Int4,
        /// Body of the answer. A secret in it is left out: it is shown once.
        body -> Text,
        /// When the call was made.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// How far each journal has been applied. Moves in the transaction that stores the events, so that each is stored exactly once.
    ingest_cursors (journal) {
        /// Identity of the journal's folder.
        journal -> Uuid,
        /// What is in it.
        stream -> Text,
        /// The machine and folder it was last applied from.
        node -> Text,
        /// Number of the first record that is not applied yet.
        next_seq -> Int8,
        /// When it last moved.
        moved_at -> Timestamptz,
    }
}

diesel::table! {
    /// One row: what all nodes on this database must agree on.
    installation (single) {
        /// Always true: keeps the table at one row.
        single -> Bool,
        /// Fingerprint of the installation secret. A node with another secret could not verify the click ids of its peers, so it refuses to start.
        secret_fingerprint -> Bytea,
        /// SHA-256 of the token in the link that makes the first operator; NULL once there is one.
        setup_token_hash -> Nullable<Bytea>,
    }
}

diesel::table! {
    /// How one advertiser's server talks to us: for all its campaigns, or for one that has an integration of its own.
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
        /// Key of the system whose spelling the advertiser's calls are in; NULL where each call is recognised by itself.
        dialect -> Nullable<Text>,
        /// Whether a call must carry the token. Without, the click id, which we signed, says whose call it is.
        requires_token -> Bool,
        /// SHA-256 of the token before, which is still taken for a while.
        previous_token_hash -> Nullable<Bytea>,
        /// Until when.
        previous_token_until -> Nullable<Timestamptz>,
        /// Secret of the advertiser's signatures, sealed under the installation's secret.
        signing_secret -> Nullable<Bytea>,
        /// Whether a call must be signed.
        requires_signature -> Bool,
        /// How far the time of a signature may be from ours.
        signature_seconds -> Int4,
        /// Addresses and networks (CIDR) that calls may come from; none means anywhere.
        allowed_addresses -> Array<Nullable<Text>>,
        /// Whether https, token, signature and address are only looked at: what would be refused is taken, and marked.
        is_monitoring -> Bool,
        /// ours: our JSON. dialect: what the sender's system would answer. always_ok: 200 whatever happened, with an honest body. gif: a picture of one pixel.
        answer_format -> Text,
        /// What the advertiser's own words for statuses mean: an object of words to pending, held, approved, rejected or ignored.
        status_map -> Jsonb,
        /// Whether a commission that the advertiser sends is paid where the goal's own is zero.
        takes_commission -> Bool,
        /// Whether a click id that differs in letter case only is taken.
        ignores_letter_case -> Bool,
        /// Whether a call must have come over https, as a trusted proxy says.
        requires_https -> Bool,
        /// The campaign whose own it is; NULL for the advertiser's, which decides for all campaigns without one.
        campaign_id -> Nullable<Int4>,
        /// Until when the advertiser's token is taken for the campaign as well; NULL for the advertiser's own integration.
        advertiser_token_until -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// A role offered to an e-mail address; accepted once, within seven days.
    invitations (network_id, id) {
        /// The tenant.
        network_id -> Int4,
        /// The invitation.
        id -> Int4,
        /// SHA-256 of the token in the link.
        token_hash -> Bytea,
        /// Lower case; who is invited.
        email -> Text,
        /// What the person will be able to do.
        role -> Text,
        /// For which advertiser; set with the advertiser's roles only.
        advertiser_id -> Nullable<Int4>,
        /// For which affiliate; set with role affiliate only.
        affiliate_id -> Nullable<Int4>,
        /// When it was made.
        created_at -> Timestamptz,
        /// When it stops working.
        expires_at -> Timestamptz,
        /// When it was accepted or withdrawn; NULL while it is open.
        ended_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Further destinations of a campaign.
    landing_pages (network_id, id) {
        /// The tenant.
        network_id -> Int4,
        /// The landing page.
        id -> Int4,
        /// The campaign it belongs to.
        campaign_id -> Int4,
        /// As people see it.
        name -> Text,
        /// A destination with macros, as campaigns.destination.
        url -> Text,
        /// Its share of the clicks of links that name no landing page; 0 for links that name it only.
        weight -> Int4,
        /// When it was added.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// Append-only money movements. The entries of one conversion sum to zero: the advertiser's debt is the affiliate's commission plus the network's margin. A balance is a sum; nothing is overwritten.
    ledger_entries (network_id, conversion_id, id) {
        /// The tenant.
        network_id -> Int4,
        /// The entry; sorts by time.
        id -> Uuid,
        /// When it was booked.
        booked_at -> Timestamptz,
        /// What it was booked for.
        conversion_id -> Uuid,
        /// earned: the conversion was made. rejected: it does not count any more, and this entry takes the earned one back. adjusted: what it is worth changed by so much.
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
    /// Links that were mailed to people: to choose a new password, or to sign in without one. Each works once and is removed.
    mailed_links (token_hash) {
        /// SHA-256 of the token in the link.
        token_hash -> Bytea,
        /// Whose link it is.
        person_id -> Int4,
        /// reset: choose a new password. sign_in: sign in.
        purpose -> Text,
        /// When it was made.
        created_at -> Timestamptz,
        /// When it stops working.
        expires_at -> Timestamptz,
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
        /// What the person may do; the table of permissions is in tenancy/src/permissions.rs.
        role -> Text,
        /// The advertiser acted for; set with the advertiser's roles only.
        advertiser_id -> Nullable<Int4>,
        /// The affiliate acted for; set with role affiliate only.
        affiliate_id -> Nullable<Int4>,
        /// When the membership was given.
        created_at -> Timestamptz,
        /// When it was taken away; NULL while it holds. Never deleted: the audit log speaks of it.
        ended_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// The name of a network in addresses: /join/{slug}, and /{slug}/{alias} on the shared tracking host. A reference table: slugs are unique across networks.
    network_slugs (slug) {
        /// Two to forty lower-case letters, digits and hyphens.
        slug -> Text,
        /// The network.
        network_id -> Int4,
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
        /// active: all works. suspended: clicks and postbacks are refused, data is kept and can be read. closed: its owner deleted it; what is left is being erased.
        status -> Text,
        /// Why it is not active, as its people are told; empty while it is.
        status_reason -> Text,
        /// Limit of one node; more get 429 with Retry-After.
        max_postbacks_per_second -> Int4,
        /// How many people may work for the network itself (advertisers' and affiliates' people do not count).
        max_seats -> Int4,
        /// How many tracking links there may be.
        max_links -> Int4,
        /// Whether everyone must have a second factor to see anything.
        require_two_factor -> Bool,
        /// Whether affiliates may apply on the page /join/{slug}.
        join_open -> Bool,
        /// What applicants read first.
        join_greeting -> Text,
        /// What applicants are asked besides name, e-mail address and website. A question that ends with * must be answered.
        join_questions -> Array<Nullable<Text>>,
        /// Whose application is approved at once: nobody's, everybody's, or of the listed e-mail domains.
        auto_approve -> Text,
        /// The e-mail domains that are approved at once, in lower case.
        auto_approve_domains -> Array<Nullable<Text>>,
        /// Number of the key that signs its click ids now.
        click_key_number -> Int2,
        /// Since when; ids under earlier keys count only from before.
        click_key_since -> Timestamptz,
        /// Addresses and networks (CIDR) whose clicks are flagged as blocked.
        blocked_addresses -> Array<Nullable<Text>>,
        /// Whether a campaign goes live only when test orders of every goal have arrived.
        require_tests -> Bool,
    }
}

diesel::table! {
    /// What those who run the installation did. Only ever added to; outlives the networks it speaks of.
    operator_log (id) {
        /// The entry; sorts by time.
        id -> Uuid,
        /// When it happened.
        at -> Timestamptz,
        /// Who did it; NULL where no person did.
        person_id -> Nullable<Int4>,
        /// Who did it, in words, as they were called then.
        author -> Text,
        /// From where.
        remote_ip -> Nullable<Inet>,
        /// What was done: a thing and a verb, such as network.suspend.
        action -> Text,
        /// Id and name of the network it was done to; empty where to none.
        about_network -> Text,
        /// The reason given, or what else there is to say.
        detail -> Text,
    }
}

diesel::table! {
    /// Postbacks that came before what they belong to: a sale before its signup, a refund before its sale.
    held_postbacks (network_id, postback_id) {
        /// The tenant.
        network_id -> Int4,
        /// The postback.
        postback_id -> Uuid,
        /// Since when it waits.
        held_at -> Timestamptz,
        /// How long at most.
        until -> Timestamptz,
        /// parent: a conversion of the parent goal. conversion: the one it changes. customer: their first conversion. click: its row, which the terms depend on.
        waits_for -> Text,
        /// The goal of the conversion it waits for; NULL where any of the customer will do.
        goal_id -> Nullable<Int4>,
        /// The click of the parent it waits for.
        click_id -> Nullable<Uuid>,
        /// The customer of the parent it waits for.
        customer_id -> Nullable<Text>,
        /// What the conversion it changes is unique by.
        unique_key -> Nullable<Text>,
        /// Whose call it is.
        advertiser_id -> Nullable<Int4>,
        /// True if a token, a signature or an allowed address identified the sender on arrival.
        is_authenticated -> Bool,
        /// The postback as it stood in the journal.
        record -> Bytea,
        /// The campaign whose own integration it was checked by when it came; NULL for the advertiser's.
        integration_campaign_id -> Nullable<Int4>,
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
        /// argon2id, PHC string format. NULL: signs in by links in mails only.
        password_hash -> Nullable<Text>,
        /// When the person was created.
        created_at -> Timestamptz,
        /// Whether the person runs this installation and may see /ops.
        is_operator -> Bool,
        /// The second factor's secret, encrypted with a key derived from the installation's secret. NULL: no second factor.
        totp_sealed -> Nullable<Bytea>,
        /// The last 30-second step whose code was used: a code works once.
        totp_last_step -> Nullable<Int8>,
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
        /// accepted: a conversion was made or changed. duplicate: nothing was new. rejected: it was not taken. held: it waits for another one, or the conversion that it made for somebody of the network.
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
        /// Key of the system whose spelling it is in.
        dialect -> Text,
        /// SHA-256 of the token that came with it, so that it can be decided again; NULL where none came.
        token_hash -> Nullable<Bytea>,
        /// What was looked at, in order: an array of [check, result, words].
        trace -> Text,
        /// Whether it was of a test, which is never paid.
        is_test -> Bool,
        /// When the verdict was last decided anew, after waiting or by a replay; NULL where the first one stands.
        decided_at -> Nullable<Timestamptz>,
        /// Whether it came over https, as a trusted proxy said; NULL where nothing is known.
        over_https -> Nullable<Bool>,
        /// The campaign whose own integration it was checked by; NULL for the advertiser's.
        integration_campaign_id -> Nullable<Int4>,
        /// Reason why the stored request cannot be replayed. truncated: only the beginning of the body is stored, because the sender was not authenticated. redacted: a field that decisions depend on is redacted. NULL: it is complete.
        incomplete -> Nullable<Text>,
        /// True if our simulation sent it.
        is_simulated -> Bool,
    }
}

diesel::table! {
    /// Who may promote a campaign that is not open to all.
    promoters (network_id, campaign_id, affiliate_id) {
        /// The tenant.
        network_id -> Int4,
        /// The campaign.
        campaign_id -> Int4,
        /// The affiliate.
        affiliate_id -> Int4,
        /// asked: waits for the network. approved: may promote it. declined: may not.
        status -> Text,
        /// What the affiliate said when asking.
        note -> Text,
        /// When the status last changed.
        changed_at -> Timestamptz,
    }
}

diesel::table! {
    /// Records of a journal that could not be applied, and gaps in a journal: put aside so that all others go on.
    quarantine (journal, seq) {
        /// Identity of the journal's folder.
        journal -> Uuid,
        /// Number of the record; the first one, for a gap.
        seq -> Int8,
        /// Whose it is, as far as it can be told.
        network_id -> Nullable<Int4>,
        /// When it was put aside.
        put_aside_at -> Timestamptz,
        /// Why, as Postgres or the reader said.
        reason -> Text,
        /// The record as journaled; empty for a gap.
        record -> Bytea,
    }
}

diesel::table! {
    /// What signs a person in who has lost the second factor; each works once and is removed.
    recovery_codes (person_id, code_hash) {
        /// The person.
        person_id -> Int4,
        /// SHA-256 of the code's 80 random bits.
        code_hash -> Bytea,
    }
}

diesel::table! {
    /// Postbacks that were decided once more, or are to be.
    replays (network_id, id) {
        /// The tenant.
        network_id -> Int4,
        /// The replay; sorts by time.
        id -> Uuid,
        /// All that were asked for at once.
        batch -> Uuid,
        /// The postback.
        postback_id -> Uuid,
        /// When it was asked for.
        asked_at -> Timestamptz,
        /// By whom, in words.
        asked_by -> Text,
        /// Whether only what would come of it is wanted: nothing is changed.
        is_dry -> Bool,
        /// When it was decided; NULL while it is to be done.
        done_at -> Nullable<Timestamptz>,
        /// The reason the postback had.
        reason_before -> Text,
        /// The reason it has or would have.
        reason -> Nullable<Text>,
        /// What happened, or would happen, in a sentence.
        message -> Nullable<Text>,
        /// The conversion it makes or is about.
        conversion_id -> Nullable<Uuid>,
        /// What the affiliate earns by a conversion that it makes.
        commission_micros -> Nullable<Int8>,
        /// What the advertiser owes for it.
        revenue_micros -> Nullable<Int8>,
        /// ISO 4217: of both.
        currency -> Nullable<Text>,
    }
}

diesel::table! {
    /// Who is signed in. Not a tenant's table: the cookie says nothing of a network, so it is found by its hash alone.
    sessions (token_hash) {
        /// SHA-256 of the cookie's 256 random bits; the cookie itself is not kept.
        token_hash -> Bytea,
        /// What the session is called where it is shown.
        id -> Int4,
        /// Who signed in.
        person_id -> Int4,
        /// The network acted in; NULL for an operator who acts in none.
        network_id -> Nullable<Int4>,
        /// The membership acted under: the person's own, or with operator_reason somebody else's.
        membership_id -> Nullable<Int4>,
        /// Why an operator acts under somebody else's membership; NULL otherwise.
        operator_reason -> Nullable<Text>,
        /// Whether the password was right and the code has not come yet: such a session opens nothing.
        awaits_second_factor -> Bool,
        /// The browser, as it called itself when it signed in.
        user_agent -> Text,
        /// The address it signed in from.
        remote_ip -> Nullable<Inet>,
        /// When the person signed in.
        created_at -> Timestamptz,
        /// When it was last used, to the minute: an idle session ends.
        seen_at -> Timestamptz,
        /// When it ends, whatever happens.
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    /// What test postbacks would have made. In no sum, no report and no ledger.
    test_conversions (network_id, id) {
        /// The tenant.
        network_id -> Int4,
        /// The number of its postback.
        id -> Uuid,
        /// When the postback reached us.
        converted_at -> Timestamptz,
        /// The campaign.
        campaign_id -> Int4,
        /// The goal reached.
        goal_id -> Int4,
        /// The test link.
        link_id -> Int4,
        /// The click.
        click_id -> Nullable<Uuid>,
        /// As conversions.unique_key.
        unique_key -> Text,
        /// The advertiser's order id.
        order_id -> Nullable<Text>,
        /// The order amount.
        amount_micros -> Nullable<Int8>,
        /// ISO 4217.
        currency -> Text,
        /// What the affiliate would have earned.
        commission_micros -> Int8,
        /// What the advertiser would have owed.
        revenue_micros -> Int8,
        /// True if our simulation made it, which proves nothing of the advertiser.
        is_simulated -> Bool,
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
        /// The landing page it leads to; NULL for the campaign's destinations by weight.
        landing_page_id -> Nullable<Int4>,
        /// The value of sub1 where a visit brings none.
        sub1 -> Nullable<Text>,
        /// The value of sub2 where a visit brings none.
        sub2 -> Nullable<Text>,
        /// The value of sub3 where a visit brings none.
        sub3 -> Nullable<Text>,
        /// The value of sub4 where a visit brings none.
        sub4 -> Nullable<Text>,
        /// The value of sub5 where a visit brings none.
        sub5 -> Nullable<Text>,
        /// Whether its conversions are tests, which are never paid.
        is_test -> Bool,
        /// Counts changes: two people's edits do not overwrite each other.
        version -> Int4,
    }
}

diesel::table! {
    /// URLs with macros that people have saved in the URL builder.
    url_templates (network_id, id) {
        /// The tenant.
        network_id -> Int4,
        /// The template.
        id -> Int4,
        /// The advertiser whose people saved it; NULL where others did.
        advertiser_id -> Nullable<Int4>,
        /// The affiliate whose people saved it; NULL where others did. With neither, it is the network's own.
        affiliate_id -> Nullable<Int4>,
        /// As people see it.
        name -> Text,
        /// inbound: another system calls us, and its macros are in the URL. outbound: we call a tracker, and our macros are in the URL.
        direction -> Text,
        /// The URL with its macros; no secret stands in it.
        url -> Text,
        /// When it was saved first.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// Runs of clickledger verify: whether everything acknowledged is stored, counted and booked.
    verifications (network_id, id) {
        /// The tenant.
        network_id -> Int4,
        /// The run; sorts by time.
        id -> Uuid,
        /// When.
        run_at -> Timestamptz,
        /// Start of the period that was looked at.
        period_from -> Timestamptz,
        /// Its end, not included.
        period_to -> Timestamptz,
        /// Whether every check held.
        holds -> Bool,
        /// Each check with its counts and the first rows that differ.
        checks -> Jsonb,
    }
}

diesel::joinable!(advertisers -> networks (network_id));
diesel::joinable!(affiliate_groups -> networks (network_id));
diesel::joinable!(affiliates -> networks (network_id));
diesel::joinable!(alerts -> networks (network_id));
diesel::joinable!(api_keys -> networks (network_id));
diesel::joinable!(applications -> networks (network_id));
diesel::joinable!(audit_log -> networks (network_id));
diesel::joinable!(audit_log -> people (person_id));
diesel::joinable!(campaigns -> networks (network_id));
diesel::joinable!(caps -> networks (network_id));
diesel::joinable!(click_rollups -> networks (network_id));
diesel::joinable!(commission_rules -> networks (network_id));
diesel::joinable!(conversion_changes -> networks (network_id));
diesel::joinable!(conversion_rollups -> networks (network_id));
diesel::joinable!(coupons -> networks (network_id));
diesel::joinable!(goals -> networks (network_id));
diesel::joinable!(idempotency_keys -> networks (network_id));
diesel::joinable!(integrations -> networks (network_id));
diesel::joinable!(invitations -> networks (network_id));
diesel::joinable!(landing_pages -> networks (network_id));
diesel::joinable!(mailed_links -> people (person_id));
diesel::joinable!(memberships -> networks (network_id));
diesel::joinable!(memberships -> people (person_id));
diesel::joinable!(network_slugs -> networks (network_id));
diesel::joinable!(operator_log -> people (person_id));
diesel::joinable!(held_postbacks -> networks (network_id));
diesel::joinable!(promoters -> networks (network_id));
diesel::joinable!(recovery_codes -> people (person_id));
diesel::joinable!(replays -> networks (network_id));
diesel::joinable!(sessions -> people (person_id));
diesel::joinable!(test_conversions -> networks (network_id));
diesel::joinable!(tracking_hosts -> networks (network_id));
diesel::joinable!(tracking_links -> networks (network_id));
diesel::joinable!(url_templates -> networks (network_id));
diesel::joinable!(verifications -> networks (network_id));

diesel::allow_tables_to_appear_in_same_query!(
    advertisers,
    affiliate_groups,
    affiliates,
    alerts,
    api_keys,
    applications,
    audit_log,
    campaigns,
    caps,
    click_rollups,
    clicks,
    commission_rules,
    conversion_changes,
    conversion_rollups,
    conversions,
    coupons,
    goals,
    idempotency_keys,
    ingest_cursors,
    installation,
    integrations,
    invitations,
    landing_pages,
    ledger_entries,
    mailed_links,
    memberships,
    network_slugs,
    networks,
    operator_log,
    held_postbacks,
    people,
    postbacks,
    promoters,
    quarantine,
    recovery_codes,
    replays,
    sessions,
    test_conversions,
    tracking_hosts,
    tracking_links,
    url_templates,
    verifications,
);
