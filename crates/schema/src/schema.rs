// @generated automatically by Diesel CLI.

diesel::table! {
    /// A brand whose server sends postbacks.
    advertisers (network_id, id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Id of the advertiser.
        id -> Int4,
        /// Number of the edit, so that concurrent edits are detected.
        version -> Int4,
        /// Display name.
        name -> Text,
        /// paused: its campaigns get no clicks and no new conversions; existing conversions can change. archived: not offered for new campaigns; live campaigns continue.
        status -> Text,
        /// Start of the pause; NULL unless paused.
        paused_at -> Nullable<Timestamptz>,
        /// Id of the advertiser in another system, unique within the network; NULL if none.
        external_id -> Nullable<Text>,
        /// Internal notes, visible to members of the network only.
        notes -> Text,
        /// Tags for search.
        tags -> Array<Nullable<Text>>,
        /// Time of creation.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// A group of affiliates that commission rules can address together.
    affiliate_groups (network_id, id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Id of the group.
        id -> Int4,
        /// Display name.
        name -> Text,
        /// Time of creation.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// A partner who sends visitors and earns commission.
    affiliates (network_id, id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Id of the affiliate.
        id -> Int4,
        /// Number of the edit, so that concurrent edits are detected.
        version -> Int4,
        /// Display name.
        name -> Text,
        /// paused: no new clicks, earlier clicks still convert. blocked: no clicks and no conversions. archived: as paused, and hidden from lists.
        status -> Text,
        /// Group of the affiliate; NULL if none.
        group_id -> Nullable<Int4>,
        /// Id of the affiliate in another system, unique within the network; NULL if none.
        external_id -> Nullable<Text>,
        /// Internal notes, visible to members of the network only.
        notes -> Text,
        /// Tags for search.
        tags -> Array<Nullable<Text>>,
        /// Time of creation.
        created_at -> Timestamptz,
        /// Membership of the member of the staff who manages the affiliate; NULL if none.
        manager_id -> Nullable<Int4>,
    }
}

diesel::table! {
    /// Alerts about integrations that seem to fail.
    alerts (network_id, id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Id of the alert; sorts by its opening.
        id -> Uuid,
        /// Advertiser whose postbacks are concerned.
        advertiser_id -> Int4,
        /// silent: no conversions in spite of clicks. rejections: far more rejections than before.
        kind -> Text,
        /// Time of the last postback, or of the first counted rejection.
        since -> Timestamptz,
        /// Time of the detection.
        opened_at -> Timestamptz,
        /// Figures of the latest check.
        finding -> Jsonb,
        /// Time of the recovery; NULL while open.
        closed_at -> Nullable<Timestamptz>,
        /// Time of the acknowledgement by a user of the network; NULL until then.
        seen_at -> Nullable<Timestamptz>,
        /// Name of that user; NULL until then.
        seen_by -> Nullable<Text>,
        /// Time of the notification by mail; NULL until then.
        notified_at -> Nullable<Timestamptz>,
        /// Time of the notification of the recovery; NULL until then.
        end_notified_at -> Nullable<Timestamptz>,
        /// Earliest next attempt to notify; a node postpones it before it sends, so that no other node sends too.
        notify_after -> Timestamptz,
    }
}

diesel::table! {
    /// Credential of a program, limited to the permissions of its membership and to its scopes.
    api_keys (network_id, id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Id of the key.
        id -> Int4,
        /// Membership the key acts under; the key ends with it.
        membership_id -> Int4,
        /// Display name.
        name -> Text,
        /// SHA-256 of the key; the key itself is shown once and not stored.
        key_hash -> Bytea,
        /// Last four characters of the key, so that users can tell keys apart.
        key_hint -> Text,
        /// Scopes of the key.
        scopes -> Array<Nullable<Text>>,
        /// Time of creation.
        created_at -> Timestamptz,
        /// End of validity; NULL if it never expires.
        expires_at -> Nullable<Timestamptz>,
        /// Time of the last use, to the minute; NULL if never used.
        used_at -> Nullable<Timestamptz>,
        /// Time of revocation; NULL while valid.
        ended_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// An application to become an affiliate.
    applications (network_id, id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Id of the application.
        id -> Int4,
        /// SHA-256 of the token in the URL of the applicant's status page.
        token_hash -> Bytea,
        /// Name of the future affiliate.
        name -> Text,
        /// Address that gets the invitation, in lower case.
        email -> Text,
        /// Source of the affiliate's visitors, as entered.
        website -> Text,
        /// Array of {question, answer}, with the questions as the form showed them.
        answers -> Jsonb,
        /// pending until a member or the auto-approval decides.
        status -> Text,
        /// Reason of a decline, shown to the applicant; empty otherwise.
        reason -> Text,
        /// Affiliate created by the approval; NULL unless approved.
        affiliate_id -> Nullable<Int4>,
        /// Time of submission.
        created_at -> Timestamptz,
        /// Time of the decision; NULL while pending.
        decided_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Append-only log of every sign-in and every change of configuration, money, roles and keys: author, time, origin, values before and after.
    audit_log (network_id, id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Id of the entry; sorts by time.
        id -> Uuid,
        /// Time of the action.
        at -> Timestamptz,
        /// Person who acted; NULL if a program or the system did.
        person_id -> Nullable<Int4>,
        /// Name of the author at that time.
        author -> Text,
        /// Interface in use.
        via -> Text,
        /// IP address of the request; NULL without a request.
        remote_ip -> Nullable<Inet>,
        /// Object type and verb, such as campaign.update.
        action -> Text,
        /// Id of the object.
        object -> Text,
        /// Name of the object at that time.
        object_name -> Text,
        /// Changed fields with their values before; an empty object for a new one.
        before -> Jsonb,
        /// Changed fields with their values after; an empty object for a removed one.
        after -> Jsonb,
    }
}

diesel::table! {
    /// An offer of an advertiser that affiliates promote.
    campaigns (network_id, id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Id of the campaign.
        id -> Int4,
        /// Advertiser of the campaign.
        advertiser_id -> Int4,
        /// Display name.
        name -> Text,
        /// Id of the campaign in the system of the advertiser or in a former system, accepted in postbacks; NULL if none.
        external_id -> Nullable<Text>,
        /// draft: no redirects. testing: test links only, unpaid. live: redirects and conversions. paused: clicks get a notice, earlier clicks still convert. ended: no redirects and no conversions.
        status -> Text,
        /// open: every affiliate may promote it. approval: approved affiliates only. private: invited affiliates only.
        access -> Text,
        /// Start of redirects; NULL for at once.
        starts_at -> Nullable<Timestamptz>,
        /// End of redirects; NULL for no end.
        ends_at -> Nullable<Timestamptz>,
        /// ISO 4217: currency of fixed commissions, and of postbacks without a currency.
        currency -> Text,
        /// Destination URL with macros in path, query or fragment ({click_id}, {sub1} …).
        destination -> Text,
        /// Share of the destination among clicks of links without a landing page, relative to the weights of landing pages.
        destination_weight -> Int4,
        /// Query parameter for the click ID, added to destinations without {click_id}; NULL if every destination has the macro.
        click_parameter -> Nullable<Text>,
        /// Query parameters added to every destination, as a=b&c={sub1}.
        extra_parameters -> Text,
        /// Hosts, with their subdomains, that deep links may lead to; empty for no deep links.
        deep_link_hosts -> Array<Nullable<Text>>,
        /// URL for visitors outside of the targeting or above a cap; NULL redirects them to the destination.
        fallback_url -> Nullable<Text>,
        /// Targeted countries (ISO 3166-1); empty for all.
        countries -> Array<Nullable<Text>>,
        /// Targeted device types; empty for all.
        devices -> Array<Nullable<Text>>,
        /// Attribution window: days from click to conversion.
        attribution_days -> Int4,
        /// Customer window: maximum days since the latest conversion of a customer to which an order without a click is attributed.
        customer_days -> Int4,
        /// Minimum age of a click for a conversion, in seconds; faster conversions are rejected.
        attribution_min_seconds -> Int4,
        /// Proofs that attribute a postback, the first that holds; a proof that is not listed never does.
        attribution_order -> Array<Nullable<Text>>,
        /// Query parameters of the visitor's URL that are added to the destination, as gclid or utm_*.
        passed_parameters -> Array<Nullable<Text>>,
        /// Categories for affiliates' search.
        categories -> Array<Nullable<Text>>,
        /// Terms that affiliates agree to.
        terms -> Text,
        /// Notes for affiliates.
        notes -> Text,
        /// Time of creation.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// A limit on clicks, conversions or money of a campaign per period.
    caps (network_id, id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Id of the cap.
        id -> Int4,
        /// Campaign of the cap.
        campaign_id -> Int4,
        /// Affiliate the cap applies to; NULL for all affiliates together.
        affiliate_id -> Nullable<Int4>,
        /// Limited quantity: valid clicks, conversions that are not rejected, or their commission or revenue.
        metric -> Text,
        /// Day or month in the time zone of the network, or total.
        period -> Text,
        /// Limit: a number, or micro-units of the currency.
        most -> Int8,
        /// Currency of a money cap, which counts conversions in this currency only; NULL for the currency of the campaign.
        currency -> Nullable<Text>,
        /// Time of creation.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// Columns of the blocks of clicks, in the format of the crate columns.
    click_block_columns (network_id, build, name) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Build of the block.
        build -> Uuid,
        /// Name of the column, as in clicks; quarter_hour counts since 1970, marks is 1 for a unique click and 2 for a flagged one, added up.
        name -> Text,
        /// Dictionary and codes.
        data -> Bytea,
    }
}

diesel::table! {
    /// Closed spans of the clicks of a network. The columns of a block are exact while built_late equals late; otherwise reports read the clicks themselves.
    click_blocks (network_id, from_at) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Start of the span.
        from_at -> Timestamptz,
        /// End of the span, exclusive. Spans of a network do not overlap.
        until_at -> Timestamptz,
        /// Number of transactions that stored clicks of the span after it was closed.
        late -> Int4,
        /// Identity of the columns; NULL until they are built.
        build -> Nullable<Uuid>,
        /// Value of late that the columns include; NULL until they are built.
        built_late -> Nullable<Int4>,
        /// True once retention has dropped the clicks of the span: rows of clicks in it are younger than the block, and not in it.
        is_sealed -> Bool,
        /// Number of clicks in the columns.
        clicks -> Int8,
        /// Number of unique clicks among them.
        unique_clicks -> Int8,
        /// Number of flagged clicks among them.
        invalid_clicks -> Int8,
    }
}

diesel::table! {
    /// Clicks per quarter of an hour and link, updated in the transaction that stores the clicks.
    click_rollups (network_id, quarter_hour, campaign_id, affiliate_id, link_id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Start of the quarter of an hour.
        quarter_hour -> Timestamptz,
        /// Campaign.
        campaign_id -> Int4,
        /// Affiliate.
        affiliate_id -> Int4,
        /// Tracking link.
        link_id -> Int4,
        /// Number of clicks.
        clicks -> Int8,
        /// Number of unique clicks among them.
        unique_clicks -> Int8,
        /// Number of flagged clicks among them.
        invalid_clicks -> Int8,
    }
}

diesel::table! {
    /// Append-only visits through tracking links, dropped month by month. No foreign keys, as for conversions.
    clicks (network_id, id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Key of the click, part of its click ID: time (48 bits of milliseconds) · link (32) · random (48).
        id -> Uuid,
        /// Time the request was received.
        clicked_at -> Timestamptz,
        /// Tracking link.
        link_id -> Int4,
        /// Campaign of the link.
        campaign_id -> Int4,
        /// Affiliate of the link.
        affiliate_id -> Int4,
        /// True for the first click of the visitor that day through this affiliate for this campaign.
        is_unique -> Bool,
        /// Reason the click is invalid, although it was redirected; NULL for a valid click.
        flag -> Nullable<Text>,
        /// Keyed hash of the visitor's address and browser, equal only within one day and node, because the key is discarded; NULL if unknown.
        visitor -> Nullable<Int8>,
        /// ISO 3166-1 code; NULL if unknown.
        country -> Nullable<Text>,
        /// Autonomous system number of the visitor; NULL if unknown.
        asn -> Nullable<Int8>,
        /// desktop, mobile, tablet, tv or other.
        device -> Text,
        /// Operating system family; NULL if unknown.
        os -> Nullable<Text>,
        /// Browser family, or name of the robot; NULL if unknown.
        browser -> Nullable<Text>,
        /// Sub ID of the affiliate; NULL if none.
        sub1 -> Nullable<Text>,
        /// Sub ID of the affiliate; NULL if none.
        sub2 -> Nullable<Text>,
        /// Sub ID of the affiliate; NULL if none.
        sub3 -> Nullable<Text>,
        /// Sub ID of the affiliate; NULL if none.
        sub4 -> Nullable<Text>,
        /// Sub ID of the affiliate; NULL if none.
        sub5 -> Nullable<Text>,
        /// Network of the visitor: /24 of IPv4, /48 of IPv6. The full address is never stored. NULL if unknown.
        ip_prefix -> Nullable<Inet>,
        /// Referer header, at most 1024 characters; NULL if none.
        referrer -> Nullable<Text>,
        /// Landing page that was chosen for the click; NULL for the campaign's own destination.
        landing_page_id -> Nullable<Int4>,
    }
}

diesel::table! {
    /// Commission and revenue of a goal under conditions; the first matching rule applies. Versions are immutable: a change closes one version and adds the next.
    commission_rules (network_id, id, version) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Id of the rule, equal in all its versions.
        id -> Int4,
        /// Number of the version.
        version -> Int4,
        /// Goal of the rule.
        goal_id -> Int4,
        /// Order of evaluation, lowest first.
        position -> Int4,
        /// Display name.
        name -> Text,
        /// Condition: this affiliate; NULL for all.
        affiliate_id -> Nullable<Int4>,
        /// Condition: affiliates of this group; NULL for all.
        group_id -> Nullable<Int4>,
        /// Condition: number of the sub ID that must equal sub_value; NULL for none.
        sub_number -> Nullable<Int2>,
        /// Required value of that sub ID; NULL for none.
        sub_value -> Nullable<Text>,
        /// Condition: country of the order (ISO 3166-1); NULL for all.
        country -> Nullable<Text>,
        /// Condition: coupon code of the order, compared case-insensitively; NULL for all.
        coupon -> Nullable<Text>,
        /// Condition: category of the item, because each item is paid by the rule it matches; NULL for all.
        category -> Nullable<Text>,
        /// Condition: lowest number of the conversion among those of the affiliate, the goal and the month (tier); NULL for all.
        month_from -> Nullable<Int4>,
        /// As goals.commission_fixed_micros.
        commission_fixed_micros -> Int8,
        /// As goals.commission_rate_ppm.
        commission_rate_ppm -> Int4,
        /// As goals.revenue_fixed_micros.
        revenue_fixed_micros -> Int8,
        /// As goals.revenue_rate_ppm.
        revenue_rate_ppm -> Int4,
        /// Start of validity.
        valid_from -> Timestamptz,
        /// End of validity; NULL for the current version.
        valid_to -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Postbacks whose decision after a restore differs from the verdict that their sender received.
    contradicted_verdicts (network_id, postback_id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Postback.
        postback_id -> Uuid,
        /// Reason code of the verdict that its sender received.
        answered_reason -> Text,
        /// Conversion in that verdict; NULL if none.
        answered_conversion_id -> Nullable<Uuid>,
        /// Reason code of the decision after the restore.
        decided_reason -> Text,
        /// Time of that decision.
        found_at -> Timestamptz,
        /// Time at which a user accepted the difference; NULL while open.
        settled_at -> Nullable<Timestamptz>,
        /// Name of that user; NULL while open.
        settled_by -> Nullable<Text>,
    }
}

diesel::table! {
    /// Everything that was stated about a conversion. Its state follows from these statements and its terms (crates/conversions/src/outcome.rs). A conversion without one has only its report, whose values its row has.
    conversion_changes (network_id, conversion_id, id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Changed conversion.
        conversion_id -> Uuid,
        /// Id of the change: that of its postback, or a generated one.
        id -> Uuid,
        /// Time the change was received.
        changed_at -> Timestamptz,
        /// Time of the event as reported by an authenticated sender; NULL if none was sent.
        event_time -> Nullable<Timestamptz>,
        /// report: the postback that created the conversion. postback: a change by the advertiser. person: a decision by a user of the network. hold: the end of the hold period. parent: its parent conversion no longer counts.
        source -> Text,
        /// False if the sender of the postback was not authenticated.
        is_proven -> Bool,
        /// New status; NULL if unchanged.
        status -> Nullable<Text>,
        /// True if a user returns the decision on the status to the advertiser.
        is_released -> Bool,
        /// New order total before refunds, in micro-units; NULL if unchanged.
        amount_micros -> Nullable<Int8>,
        /// New order total after refunds, in micro-units, 0 for a full refund; NULL if unchanged.
        remaining_micros -> Nullable<Int8>,
        /// Refunded part of the order, in micro-units; NULL if none.
        refund_micros -> Nullable<Int8>,
        /// Items of the total or of the refund, summed by category; NULL if none or irrelevant.
        items -> Nullable<Jsonb>,
        /// Commission of the whole order in micro-units, sent by the advertiser or set by a user; NULL if unchanged.
        commission_micros -> Nullable<Int8>,
        /// Revenue of the whole order in micro-units, set by a user; NULL if unchanged.
        revenue_micros -> Nullable<Int8>,
        /// Id of the event or refund in the system of the sender; NULL if none was sent.
        event_id -> Nullable<Text>,
        /// True if the change exceeded a cap, so that the conversion needs a review.
        exceeds_cap -> Bool,
        /// Order amount that the user saw or set, in micro-units; NULL for other sources.
        seen_amount_micros -> Nullable<Int8>,
        /// Commission that the user saw or set, in micro-units; NULL for other sources.
        seen_commission_micros -> Nullable<Int8>,
        /// Affiliate of the report, or that a user moved the conversion to; NULL if unchanged.
        affiliate_id -> Nullable<Int4>,
        /// Tracking link of the report, or that a user moved the conversion to; NULL if unchanged.
        link_id -> Nullable<Int4>,
        /// Click of the report, or that a user moved the conversion to; NULL if unchanged or none.
        click_id -> Nullable<Uuid>,
        /// Postback that made the change; NULL for other sources.
        postback_id -> Nullable<Uuid>,
        /// Name of the user who made the change; NULL for other sources.
        author -> Nullable<Text>,
        /// Reason of the user; NULL if none was given.
        reason_code -> Nullable<Text>,
        /// Reason of the user in words; NULL if none was given.
        reason -> Nullable<Text>,
        /// Id shared by the corrections of a user that were made together; NULL for single ones.
        batch -> Nullable<Uuid>,
        /// Correction that this change undoes: neither counts any more; NULL for other changes.
        undoes -> Nullable<Uuid>,
    }
}

diesel::table! {
    /// Events of conversions of networks with destinations or event consumers, stored by the transaction that changes the conversion.
    conversion_events (network_id, conversion_id, version) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Conversion.
        conversion_id -> Uuid,
        /// Version of the conversion after the event.
        version -> Int4,
        /// created, approved, rejected, reversed, reopened or adjusted.
        kind -> Text,
        /// Time of the event.
        at -> Timestamptz,
        /// Affiliate after the event.
        affiliate_id -> Int4,
        /// Campaign.
        campaign_id -> Int4,
        /// Goal.
        goal_id -> Int4,
        /// Tracking link after the event.
        link_id -> Int4,
        /// Click after the event; NULL if attributed without one.
        click_id -> Nullable<Uuid>,
        /// Status of the conversion after the event.
        status -> Text,
        /// Order amount after refunds, in micro-units; NULL if none was sent.
        amount_micros -> Nullable<Int8>,
        /// Commission after the event, in micro-units.
        commission_micros -> Int8,
        /// Revenue after the event, in micro-units.
        revenue_micros -> Int8,
        /// Currency of the amounts, ISO 4217.
        currency -> Text,
        /// True once its deliveries are queued.
        is_queued -> Bool,
        /// Position in the stream of the network, from 1, without gaps; NULL before its deliveries are queued, and for an event that was restored for a back-fill.
        position -> Nullable<Int8>,
        /// Time at which it got its position; NULL without one.
        queued_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Days whose conversions were proven to follow from their statements and terms (clickledger verify).
    conversion_proofs (network_id, day) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Day of the conversions in UTC.
        day -> Date,
        /// Fingerprint of the proven rows: if it differs from the present rows, the day is proven again.
        fingerprint -> Text,
    }
}

diesel::table! {
    /// Conversions and their money per quarter of an hour, link, goal, currency and status, updated in the transaction that stores the conversion. A change of status moves sums between rows.
    conversion_rollups (network_id, quarter_hour, campaign_id, affiliate_id, link_id, goal_id, currency, status) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Start of the quarter of an hour of the conversion.
        quarter_hour -> Timestamptz,
        /// Campaign.
        campaign_id -> Int4,
        /// Affiliate.
        affiliate_id -> Int4,
        /// Tracking link.
        link_id -> Int4,
        /// Goal.
        goal_id -> Int4,
        /// ISO 4217: sums are per currency.
        currency -> Text,
        /// Status of the conversions.
        status -> Text,
        /// Number of conversions.
        conversions -> Int8,
        /// Number of those that are pending or approved, and paid: what caps and tiers count.
        paid -> Int8,
        /// Sum of the order amounts in micro-units.
        amount_micros -> Numeric,
        /// Sum of the commissions in micro-units.
        commission_micros -> Numeric,
        /// Sum of the revenue in micro-units.
        revenue_micros -> Numeric,
    }
}

diesel::table! {
    /// Number of changes of the rollups of conversions, by spans of time. Moves in the transaction that changes them.
    conversion_spans (network_id, span, slot) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Span of the quarters of an hour of the rollups: six hours, counted since 1970.
        span -> Int4,
        /// Part of the count, by the connection that changes it, so that connections do not wait for each other.
        slot -> Int4,
        /// Number of changes.
        version -> Int8,
    }
}

diesel::table! {
    /// A postback that was accepted for a goal. Outlives the rows of its click and its postback.
    conversions (network_id, id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Id of the conversion (cnv_…); sorts by time.
        id -> Uuid,
        /// Time the postback was received.
        converted_at -> Timestamptz,
        /// Advertiser who owes the revenue.
        advertiser_id -> Int4,
        /// Campaign of the conversion.
        campaign_id -> Int4,
        /// Goal reached.
        goal_id -> Int4,
        /// Affiliate who earns the commission.
        affiliate_id -> Int4,
        /// Tracking link the conversion is attributed to.
        link_id -> Int4,
        /// Click the conversion is attributed to; NULL if attributed without a click.
        click_id -> Nullable<Uuid>,
        /// Postback that created the conversion.
        postback_id -> Uuid,
        /// Conversion of the parent goal; NULL if none.
        parent_id -> Nullable<Uuid>,
        /// Basis of the attribution: click, earlier conversion of the customer, coupon, or affiliate named by the sender.
        attributed_by -> Text,
        /// Deduplication key of the goal (order ID, click ID or customer ID), unique for ever.
        unique_key -> Text,
        /// Order ID of the advertiser; NULL if none was sent.
        order_id -> Nullable<Text>,
        /// Customer ID of the advertiser; NULL if none was sent.
        customer_id -> Nullable<Text>,
        /// Coupon code of the order; NULL if none was sent.
        coupon -> Nullable<Text>,
        /// Country reported by the advertiser; NULL if none was sent.
        country -> Nullable<Text>,
        /// pending, then approved or rejected; reversed if it was rejected after approval.
        status -> Text,
        /// End of the hold period, at which the conversion is approved unless it is in review; NULL if it is decided or needs a decision by a user.
        hold_until -> Nullable<Timestamptz>,
        /// Reason for the manual review. amount: above the limit of the goal. currency: not comparable with the limit. commission: the commission sent is more than the revenue or the order. cap: it exceeds a cap. parent: its parent conversion no longer counts. person: a user put it on hold. NULL if no review is pending.
        review_because -> Nullable<Text>,
        /// Reason the conversion pays nothing although its goal does; NULL if it pays.
        unpaid_because -> Nullable<Text>,
        /// Order amount after refunds, in micro-units; NULL if none was sent.
        amount_micros -> Nullable<Int8>,
        /// Commission of the affiliate in micro-units.
        commission_micros -> Int8,
        /// Revenue owed by the advertiser in micro-units.
        revenue_micros -> Int8,
        /// ISO 4217: currency of all three amounts.
        currency -> Text,
        /// Terms that price the conversion and each later change: rates by rule and category, versions, review limit. Never changed.
        terms -> Jsonb,
        /// Number of changes, from 1 for the report. A decision of a user names the version it is based on.
        version -> Int4,
        /// Time of the last change.
        changed_at -> Timestamptz,
        /// Values of the click: sub1 to sub5, country, device, os, browser, referrer host, flag, landing page. Filled in from the row of the click; empty if that did not arrive within a week, NULL until then or without a click.
        visit -> Nullable<Array<Nullable<Text>>>,
        /// Categories of the items of the order, sorted and separated by commas; NULL if none was sent.
        item_categories -> Nullable<Text>,
    }
}

diesel::table! {
    /// A coupon code that attributes orders without a click to an affiliate.
    coupons (network_id, campaign_id, code) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Campaign of the orders.
        campaign_id -> Int4,
        /// Code in upper case, because codes are compared case-insensitively.
        code -> Text,
        /// Affiliate who distributes the code.
        affiliate_id -> Int4,
        /// Time of creation.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// Events to deliver to destinations, one row per destination and event.
    deliveries (network_id, id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Id of the delivery, the same in every attempt.
        id -> Uuid,
        /// Destination.
        destination_id -> Int4,
        /// Conversion of the event; NULL for an event of the network.
        conversion_id -> Nullable<Uuid>,
        /// Version of the conversion after the event; with the conversion, the event. 0 for an event of the network.
        version -> Int4,
        /// Kind of the event.
        event -> Text,
        /// Time at which it was queued.
        queued_at -> Timestamptz,
        /// waiting, delivered, or given_up after the last retry.
        state -> Text,
        /// Number of attempts.
        attempts -> Int4,
        /// Number of failed attempts since it was queued or resent.
        failures -> Int4,
        /// True if an attempt failed since it was queued or resent: first attempts go first.
        is_retry -> Bool,
        /// Time of the next attempt; while an attempt runs, the end of its lease.
        next_at -> Timestamptz,
        /// Time at which it was delivered or given up; NULL while it waits.
        finished_at -> Nullable<Timestamptz>,
        /// HTTP status of the last answer; NULL without one.
        code -> Nullable<Int4>,
        /// Reason why the last attempt failed; NULL if it did not.
        problem -> Nullable<Text>,
        /// Event of the network; NULL for an event of a conversion.
        event_id -> Nullable<Uuid>,
    }
}

diesel::table! {
    /// Attempts of deliveries.
    delivery_attempts (network_id, delivery_id, number) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Delivery.
        delivery_id -> Uuid,
        /// Number of the attempt, from 1.
        number -> Int4,
        /// Time at which the attempt ended.
        at -> Timestamptz,
        /// HTTP method.
        method -> Text,
        /// URL that was called, in which a placeholder replaces each secret.
        url -> Text,
        /// HTTP status of the answer; NULL without one.
        code -> Nullable<Int4>,
        /// Reason why it failed; NULL if it did not.
        problem -> Nullable<Text>,
        /// Duration in milliseconds.
        duration_ms -> Int4,
        /// First 2 KiB of the answer as text.
        answer -> Text,
    }
}

diesel::table! {
    /// Addresses that events of conversions are delivered to: trackers of affiliates and webhooks of networks.
    destinations (network_id, id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Id of the destination.
        id -> Int4,
        /// postback: tracker of an affiliate. webhook: system of the network.
        kind -> Text,
        /// Affiliate whose conversions are delivered; NULL for a webhook.
        affiliate_id -> Nullable<Int4>,
        /// Name shown to users.
        name -> Text,
        /// Only conversions of this campaign are delivered; NULL for all.
        campaign_id -> Nullable<Int4>,
        /// Only conversions of this goal are delivered; NULL for all.
        goal_id -> Nullable<Int4>,
        /// Kinds of events that are delivered, separated by commas.
        events -> Text,
        /// HTTP method.
        method -> Text,
        /// URL with macros, in which a placeholder replaces each secret.
        url -> Text,
        /// URL with its secrets, encrypted; NULL if it has none.
        sealed_url -> Nullable<Bytea>,
        /// Words of the receiver by macro and value.
        value_maps -> Jsonb,
        /// True if order IDs are sent as they are; otherwise a hash is sent.
        sends_order_ids -> Bool,
        /// Signing secret of a webhook, encrypted; NULL for a postback.
        secret -> Nullable<Bytea>,
        /// Secret before the last rotation, encrypted; NULL if it is not used any more.
        former_secret -> Nullable<Bytea>,
        /// Time until which the former secret signs too; NULL without one.
        former_secret_until -> Nullable<Timestamptz>,
        /// active or paused. Events of a paused destination are queued.
        state -> Text,
        /// user: a user paused it. gone: it answered 410. failing: it failed for days. NULL if active.
        paused_because -> Nullable<Text>,
        /// Time of creation; earlier events are not delivered unless a user asks for them.
        created_at -> Timestamptz,
        /// Time of the last success; NULL before the first.
        delivered_at -> Nullable<Timestamptz>,
        /// Time of the last failure; NULL before the first.
        failed_at -> Nullable<Timestamptz>,
        /// Time of the first failure after the last success; NULL if the last attempt succeeded.
        failing_since -> Nullable<Timestamptz>,
        /// Number of failures in a row.
        failures -> Int4,
        /// Number of failures in a row that its users were last mailed about.
        mailed_failures -> Int4,
        /// Time before which the receiver asked for no request (Retry-After); NULL if it did not.
        quiet_until -> Nullable<Timestamptz>,
        /// Body of the calls. standard: the parameters of a tracker, or the event as JSON. slack, telegram: a message, of a webhook. meta, tiktok, openai, microsoft, google: a conversion for an advertising platform, of an affiliate.
        format -> Text,
    }
}

diesel::table! {
    /// Programs that fetch the stream of events of a network, each with its place in it.
    event_consumers (network_id, name) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Name that the program chose.
        name -> Text,
        /// Position up to which events are acknowledged.
        position -> Int8,
        /// Time of creation.
        created_at -> Timestamptz,
        /// Time of the last acknowledgement; NULL before the first.
        acknowledged_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Extent of the stream of events of each network.
    event_streams (network_id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Position of the latest event.
        position -> Int8,
        /// Highest position whose event was removed because of its age; 0 if none was.
        removed -> Int8,
    }
}

diesel::table! {
    /// Exchange rates that a network sets. A rate holds from its day until the next one of its currency, at most 14 days on, and replaces the reference rate of its day.
    exchange_rates (network_id, day, currency) {
        /// Network that owns the row.
        network_id -> Int4,
        /// First day of the rate.
        day -> Date,
        /// ISO 4217 code, never EUR.
        currency -> Text,
        /// Value of one euro, in billionths of a unit of the currency.
        nanos_per_euro -> Int8,
        /// user: set by hand or by the API. csv: imported from a file.
        source -> Text,
        /// Time of the last change.
        set_at -> Timestamptz,
        /// Name of the author of the last change.
        set_by -> Text,
    }
}

diesel::table! {
    /// Former commission and revenue of a goal: an order is paid by what was in force at its time, whenever it is decided.
    goal_versions (network_id, goal_id, version) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Goal.
        goal_id -> Int4,
        /// Number of the version.
        version -> Int4,
        /// End of the version, when the next one began.
        valid_to -> Timestamptz,
        /// As goals.commission_fixed_micros.
        commission_fixed_micros -> Int8,
        /// As goals.commission_rate_ppm.
        commission_rate_ppm -> Int4,
        /// As goals.revenue_fixed_micros.
        revenue_fixed_micros -> Int8,
        /// As goals.revenue_rate_ppm.
        revenue_rate_ppm -> Int4,
    }
}

diesel::table! {
    /// A kind of conversion of a campaign, with its commission and revenue.
    goals (network_id, id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Id of the goal.
        id -> Int4,
        /// Number of the version of commission and revenue.
        version -> Int4,
        /// Campaign of the goal.
        campaign_id -> Int4,
        /// Identifier of the goal in postbacks.
        code -> Text,
        /// Display name.
        name -> Text,
        /// Type of conversion.
        kind -> Text,
        /// Id of the goal in the system of the advertiser or in a former system, accepted in postbacks; NULL if none.
        external_id -> Nullable<Text>,
        /// Deduplication of conversions: by order ID, click, customer, or not at all (fire).
        unique_by -> Text,
        /// True if conversions may have another deduplication key than unique_by says, because it was changed.
        has_other_keys -> Bool,
        /// True if conversions are approved automatically: at once, or after hold_days.
        auto_approve -> Bool,
        /// Hold period: days a conversion stays pending before auto-approval.
        hold_days -> Int4,
        /// Amount, in micro-units of the campaign's currency, above which a user of the network must review a conversion before it is approved; NULL for no review.
        review_above_micros -> Nullable<Int8>,
        /// Parameters that a postback must have.
        required_parameters -> Array<Nullable<Text>>,
        /// Parameters that a postback must not have.
        forbidden_parameters -> Array<Nullable<Text>>,
        /// Amount of a postback without one, in micro-units of the campaign's currency; NULL if none.
        default_amount_micros -> Nullable<Int8>,
        /// Parent goal, which the same click or customer must have reached before; NULL if none.
        parent_goal_id -> Nullable<Int4>,
        /// Hours a postback is held for its parent conversion, or for the order it changes.
        wait_hours -> Int4,
        /// Maximum number of conversions per parent conversion, such as paid renewals; NULL for no limit.
        times_per_parent -> Nullable<Int4>,
        /// Commission of the affiliate per conversion, in micro-units of the campaign's currency.
        commission_fixed_micros -> Int8,
        /// Commission of the affiliate as a share of the order amount, in parts per million (10 % = 100 000).
        commission_rate_ppm -> Int4,
        /// Revenue owed by the advertiser per conversion, in micro-units of the campaign's currency.
        revenue_fixed_micros -> Int8,
        /// Revenue owed by the advertiser as a share of the order amount, in parts per million.
        revenue_rate_ppm -> Int4,
        /// Time of creation.
        created_at -> Timestamptz,
        /// Start of the current version of commission and revenue.
        changed_at -> Timestamptz,
    }
}

diesel::table! {
    /// Held postbacks, which arrived before the event they depend on: a sale before its signup, a refund before its sale.
    held_postbacks (network_id, postback_id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Held postback.
        postback_id -> Uuid,
        /// Start of the hold.
        held_at -> Timestamptz,
        /// Latest end of the hold.
        until -> Timestamptz,
        /// parent: a conversion of the parent goal. conversion: the conversion to change. customer: the first conversion of the customer. click: the row of the click, which the commission depends on.
        waits_for -> Text,
        /// Goal of the awaited conversion; NULL for any goal.
        goal_id -> Nullable<Int4>,
        /// Click of the awaited conversion, or the awaited click; NULL if not used.
        click_id -> Nullable<Uuid>,
        /// Customer of the awaited conversion; NULL if not used.
        customer_id -> Nullable<Text>,
        /// Deduplication key of the conversion to change; NULL if not used.
        unique_key -> Nullable<Text>,
        /// Advertiser who sent the postback; NULL if unknown.
        advertiser_id -> Nullable<Int4>,
        /// Campaign whose separate integration was used; NULL for the integration of the advertiser.
        integration_campaign_id -> Nullable<Int4>,
        /// True if token, signature or address authenticated the advertiser on arrival.
        is_authenticated -> Bool,
        /// Journal record of the postback.
        record -> Bytea,
    }
}

diesel::table! {
    /// Tracking hosts that networks have entered, each with the token that proves it and the last check of its DNS records.
    host_claims (network_id, host) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Lower-case host name, as in tracking_hosts.
        host -> Text,
        /// Token of the TXT record; the same until the network removes the host.
        token -> Text,
        /// Time at which the network entered the host.
        claimed_at -> Timestamptz,
        /// Earliest next check in the background; of a lost claim, earliest next attempt to notify.
        check_after -> Timestamptz,
        /// Time of the last check; NULL before the first.
        checked_at -> Nullable<Timestamptz>,
        /// Answers of DNS to the last check; NULL before the first.
        answers -> Nullable<Jsonb>,
        /// Time at which another network proved the host; NULL while the claim stands.
        lost_at -> Nullable<Timestamptz>,
        /// Time at which the network was notified of the loss by mail; NULL until then.
        notified_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Responses to API requests with an Idempotency-Key, stored in the transaction of the change: a repeated request changes nothing and gets the same response. Retained for a day.
    idempotency_keys (network_id, membership_id, key) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Membership of the caller; keys of different callers never collide.
        membership_id -> Int4,
        /// Idempotency-Key header of the request.
        key -> Text,
        /// SHA-256 of method, path and body; the same key with another request is an error.
        request_hash -> Bytea,
        /// HTTP status of the response.
        status -> Int4,
        /// Body of the response without secrets, which are shown once.
        body -> Text,
        /// Time of the request.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// Position of the applier in each journal. Moves in the transaction that stores the events, so each is stored exactly once.
    ingest_cursors (journal) {
        /// Identity of the journal's folder.
        journal -> Uuid,
        /// Kind of records in the journal.
        stream -> Text,
        /// Machine and folder of the latest applier.
        node -> Text,
        /// Number of the first record not yet applied.
        next_seq -> Int8,
        /// Time of the latest move.
        moved_at -> Timestamptz,
    }
}

diesel::table! {
    /// One row: facts that all nodes on this database must agree on.
    installation (single) {
        /// Always true: limits the table to one row.
        single -> Bool,
        /// Fingerprint of the installation secret. A node with another secret could not verify the click IDs of its peers, so it refuses to start.
        secret_fingerprint -> Bytea,
        /// SHA-256 of the token in the link that creates the first operator; NULL once an operator exists.
        setup_token_hash -> Nullable<Bytea>,
    }
}

diesel::table! {
    /// Settings and credentials for the postbacks of an advertiser, or of one campaign with a separate integration.
    integrations (network_id, id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Id of the integration.
        id -> Int4,
        /// Advertiser who sends the postbacks.
        advertiser_id -> Int4,
        /// Campaign of the integration; NULL for the integration of the advertiser, which serves all campaigns without one.
        campaign_id -> Nullable<Int4>,
        /// Dialect of the postbacks; NULL if each postback's dialect is detected.
        dialect -> Nullable<Text>,
        /// True if a postback must carry the token; otherwise the signed click ID identifies the advertiser.
        requires_token -> Bool,
        /// SHA-256 of the postback token; the token itself is shown once and not stored.
        token_hash -> Bytea,
        /// Last four characters of the token, so that users can tell tokens apart.
        token_hint -> Text,
        /// SHA-256 of the previous token, accepted until previous_token_until; NULL if none.
        previous_token_hash -> Nullable<Bytea>,
        /// End of validity of the previous token; NULL if none.
        previous_token_until -> Nullable<Timestamptz>,
        /// End of the period in which the campaign also accepts the token of the advertiser; NULL for the integration of the advertiser.
        advertiser_token_until -> Nullable<Timestamptz>,
        /// True if a postback must be signed.
        requires_signature -> Bool,
        /// HMAC secret, encrypted under the installation secret; NULL if none.
        signing_secret -> Nullable<Bytea>,
        /// Maximum difference between the time of a signature and the server's clock, in seconds.
        signature_seconds -> Int4,
        /// True if a postback must arrive over https, as reported by a trusted proxy.
        requires_https -> Bool,
        /// IP addresses and CIDR ranges that postbacks may come from; empty for all.
        allowed_addresses -> Array<Nullable<Text>>,
        /// True for monitor only: postbacks that fail the checks of https, token, signature or address are accepted and flagged.
        is_monitoring -> Bool,
        /// Response format. ours: JSON of Clickledger. dialect: the response of the sender's system. always_ok: status 200 with an honest body. gif: an image of one pixel.
        answer_format -> Text,
        /// Object of the advertiser's status words to pending, held, approved, rejected or ignored.
        status_map -> Jsonb,
        /// True if the commission in a postback is paid where the goal's commission is zero.
        takes_commission -> Bool,
        /// True if an order ID counts once for all campaigns of the advertiser.
        counts_orders_once -> Bool,
        /// True if a click ID that differs in letter case only is accepted.
        ignores_letter_case -> Bool,
        /// Time the current token was created.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// A role offered to an e-mail address; accepted once, within seven days.
    invitations (network_id, id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Id of the invitation.
        id -> Int4,
        /// SHA-256 of the token in the link.
        token_hash -> Bytea,
        /// Invited address, in lower case.
        email -> Text,
        /// Role of the future membership.
        role -> Text,
        /// Advertiser to act for; set with the roles of advertisers only.
        advertiser_id -> Nullable<Int4>,
        /// Affiliate to act for; set with role affiliate only.
        affiliate_id -> Nullable<Int4>,
        /// Time of creation.
        created_at -> Timestamptz,
        /// End of validity.
        expires_at -> Timestamptz,
        /// Time of acceptance or withdrawal; NULL while open.
        ended_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// An additional destination of a campaign.
    landing_pages (network_id, id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Id of the landing page.
        id -> Int4,
        /// Campaign of the landing page.
        campaign_id -> Int4,
        /// Display name.
        name -> Text,
        /// Destination URL with macros, as campaigns.destination.
        url -> Text,
        /// Share of clicks of links without a landing page; 0 for links with this landing page only.
        weight -> Int4,
        /// Time of creation.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// Append-only movements of what advertisers owe and affiliates earn, pending and payable apart. The margin of the network is their difference. A balance is a sum.
    ledger_entries (network_id, id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Id of the entry; sorts by the time of booking.
        id -> Uuid,
        /// Time of booking. A period that is over gets no more entries.
        booked_at -> Timestamptz,
        /// Time of the event: of the order, refund or decision.
        effective_at -> Timestamptz,
        /// Conversion of the entry; NULL for an entry made by hand.
        conversion_id -> Nullable<Uuid>,
        /// Change that caused the entry (conversion_changes.id); the id of the conversion for its report.
        change_id -> Nullable<Uuid>,
        /// earned: created. approved: pending became payable. reopened: payable became pending. refunded: a refund. amended: another amount or commission from the advertiser. rejected, reversed: no longer counts, without or after an approval. reinstated: counts again. adjusted: changed by a user. moved: to another affiliate.
        kind -> Text,
        /// Reason of the user; NULL if none was given.
        reason_code -> Nullable<Text>,
        /// Advertiser who owes the revenue.
        advertiser_id -> Int4,
        /// Affiliate who earns the commission.
        affiliate_id -> Int4,
        /// ISO 4217.
        currency -> Text,
        /// Movement of the commission awaiting approval, in micro-units.
        commission_pending_micros -> Int8,
        /// Movement of the approved commission, in micro-units.
        commission_payable_micros -> Int8,
        /// Movement of the revenue awaiting approval, in micro-units.
        revenue_pending_micros -> Int8,
        /// Movement of the approved revenue, in micro-units.
        revenue_payable_micros -> Int8,
    }
}

diesel::table! {
    /// One-time links sent by mail; removed once used.
    mailed_links (token_hash) {
        /// SHA-256 of the token in the link.
        token_hash -> Bytea,
        /// Person the link was sent to.
        person_id -> Int4,
        /// reset: choose a new password. sign_in: sign in without one.
        purpose -> Text,
        /// Time of creation.
        created_at -> Timestamptz,
        /// End of validity.
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    /// A role of a person in a network.
    memberships (network_id, id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Id of the membership.
        id -> Int4,
        /// Person with the role.
        person_id -> Int4,
        /// Role, whose permissions are listed in tenancy/src/permissions.rs.
        role -> Text,
        /// Advertiser the person acts for; set with the roles of advertisers only.
        advertiser_id -> Nullable<Int4>,
        /// Affiliate the person acts for; set with role affiliate only.
        affiliate_id -> Nullable<Int4>,
        /// Time of creation.
        created_at -> Timestamptz,
        /// Time of removal; NULL while active. Rows are never deleted, because the audit log refers to them.
        ended_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Events of networks that are about no conversion, stored by the transaction that causes them if the network has destinations or event consumers.
    network_events (network_id, id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Id of the event (evt_…); sorts by time.
        id -> Uuid,
        /// affiliate.applied: an application arrived. integration.failing: an alert about an advertiser opened. integration.recovered: it is over.
        kind -> Text,
        /// Time of the event.
        at -> Timestamptz,
        /// Content of the event, as webhooks carry it.
        data -> Jsonb,
        /// True once its deliveries are queued.
        is_queued -> Bool,
        /// Position in the stream of the network; NULL before its deliveries are queued.
        position -> Nullable<Int8>,
        /// Time at which it got its position; NULL without one.
        queued_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Name of a network in URLs: /join/{slug}, and /{slug}/{alias} on the shared tracking host. A reference table: slugs are unique across networks.
    network_slugs (slug) {
        /// Two to forty lower-case letters, digits and hyphens.
        slug -> Text,
        /// Network with that slug.
        network_id -> Int4,
    }
}

diesel::table! {
    /// A network is the tenant: it owns every row that carries its id.
    networks (id) {
        /// Id of the network; also the second field of its click IDs.
        id -> Int4,
        /// Display name.
        name -> Text,
        /// active: everything works. suspended: clicks and postbacks are refused, data stays readable. closed: deleted by its owner, waiting to be erased.
        status -> Text,
        /// Reason shown to its members if the network is not active; empty otherwise.
        status_reason -> Text,
        /// IANA name. Days of reports and hours of rollups follow this zone.
        time_zone -> Text,
        /// ISO 4217. Default of new campaigns; sums are never converted.
        currency -> Text,
        /// Rate limit per node; requests above it get 429 with Retry-After.
        max_postbacks_per_second -> Int4,
        /// Limit on members of the network itself; users of advertisers and affiliates do not count.
        max_seats -> Int4,
        /// Limit on tracking links.
        max_links -> Int4,
        /// True if every member must use two-factor authentication.
        require_two_factor -> Bool,
        /// True if a campaign can go live only after test orders of every goal have arrived.
        require_tests -> Bool,
        /// Commission or revenue, in micro-units of the currency of a conversion, above which a correction needs a second user; NULL for never.
        second_user_above_micros -> Nullable<Int8>,
        /// True if affiliates may apply on the page /join/{slug}.
        join_open -> Bool,
        /// Introduction of the application form.
        join_greeting -> Text,
        /// Questions of the application form besides name, e-mail address and website. A trailing * marks a required answer.
        join_questions -> Array<Nullable<Text>>,
        /// Applications approved at once: none, those of auto_approve_domains, or all.
        auto_approve -> Text,
        /// E-mail domains whose applications are approved at once, in lower case.
        auto_approve_domains -> Array<Nullable<Text>>,
        /// Number of the key that signs new click IDs.
        click_key_number -> Int2,
        /// Start of that key's validity; click IDs signed by an earlier key are accepted only if they are older.
        click_key_since -> Timestamptz,
        /// IP addresses and CIDR ranges whose clicks are flagged as blocked.
        blocked_addresses -> Array<Nullable<Text>>,
        /// Time of creation.
        created_at -> Timestamptz,
        /// True if advertisers see the names of affiliates, otherwise their IDs.
        names_affiliates -> Bool,
        /// True if managers see the events and money of all affiliates, otherwise of the affiliates they manage.
        managers_see_all -> Bool,
    }
}

diesel::table! {
    /// Nodes whose journals may hold events that are not in the tables yet. Removed when a node has stopped and its journals are applied.
    nodes (id) {
        /// Identity of its journal of clicks.
        id -> Uuid,
        /// Host and folder of its journals.
        name -> Text,
        /// Version of its program.
        version -> Text,
        /// Time of its start.
        started_at -> Timestamptz,
        /// Time at which it published this.
        seen_at -> Timestamptz,
        /// Time up to which all its events are in the tables, if some are not; NULL otherwise.
        behind_since -> Nullable<Timestamptz>,
        /// Health as on /health/ready: journals, alarms, background work.
        health -> Jsonb,
    }
}

diesel::table! {
    /// Append-only log of operators' actions. Outlives the networks it refers to, so it names them in a text instead of a network_id.
    operator_log (id) {
        /// Id of the entry; sorts by time.
        id -> Uuid,
        /// Time of the action.
        at -> Timestamptz,
        /// Person who acted; NULL if a command or the system did.
        person_id -> Nullable<Int4>,
        /// Name of the author at that time.
        author -> Text,
        /// IP address of the request; NULL without a request.
        remote_ip -> Nullable<Inet>,
        /// Object type and verb, such as network.suspend.
        action -> Text,
        /// Id and name of the network concerned; empty if none.
        about_network -> Text,
        /// Reason given, or other details.
        detail -> Text,
    }
}

diesel::table! {
    /// Account of a human, one per e-mail address, across networks.
    people (id) {
        /// Id of the person.
        id -> Int4,
        /// Lower-case address to sign in with.
        email -> Text,
        /// Display name.
        name -> Text,
        /// argon2id in PHC string format; NULL if the person signs in by mailed links only.
        password_hash -> Nullable<Text>,
        /// TOTP secret, encrypted with a key derived from the installation secret; NULL without two-factor authentication.
        totp_sealed -> Nullable<Bytea>,
        /// Last 30-second step whose code was used, so that each code works once; NULL before the first use.
        totp_last_step -> Nullable<Int8>,
        /// True if the person runs this installation and may open /ops.
        is_operator -> Bool,
        /// Time of creation.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// Every postback request as received, with its verdict; rejected and unreadable ones included.
    postbacks (network_id, id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Receipt (pb_…) returned in the response; sorts by time.
        id -> Uuid,
        /// Time the request was received.
        received_at -> Timestamptz,
        /// Time of the latest verdict, reached after a hold or by a replay; NULL if the first verdict stands.
        decided_at -> Nullable<Timestamptz>,
        /// GET or POST.
        method -> Text,
        /// Request target as received, with the token redacted except its last four characters.
        target -> Text,
        /// Content-Type header; NULL if none.
        content_type -> Nullable<Text>,
        /// Body as received, with the token redacted; empty for GET.
        body -> Bytea,
        /// IP address of the sender, a server of the advertiser; NULL if unknown.
        remote_ip -> Nullable<Inet>,
        /// True if the request arrived over https, as reported by a trusted proxy; NULL if unknown.
        over_https -> Nullable<Bool>,
        /// SHA-256 of the token in the request, for later decisions; NULL if none was sent.
        token_hash -> Nullable<Bytea>,
        /// Dialect of the request.
        dialect -> Text,
        /// True for a test, which is never paid.
        is_test -> Bool,
        /// True if our simulation sent it.
        is_simulated -> Bool,
        /// Reason why the stored request is not complete, so that it cannot be replayed. truncated: only the beginning of the body is stored, because the sender was not authenticated. redacted: a field that decisions depend on is redacted. removed: retention removed it. NULL: it is complete.
        incomplete -> Nullable<Text>,
        /// accepted: a conversion was created or changed. duplicate: nothing was new. rejected: not accepted. held: waits for another postback or a click, or its conversion waits for a manual review.
        status -> Text,
        /// Reason code of the verdict.
        reason -> Text,
        /// HTTP status of the response.
        http_status -> Int4,
        /// Verdict in one sentence.
        message -> Text,
        /// Advice to the sender; NULL if none.
        hint -> Nullable<Text>,
        /// Steps that led to the verdict, in order: JSON, an array of [check, result, text]; compressed, as crates/postbacks/src/trace.rs explains, unless it begins with a bracket.
        trace -> Text,
        /// Microseconds from the last byte of the request to the verdict.
        took_us -> Int4,
        /// Advertiser who sent the postback; NULL if unknown.
        advertiser_id -> Nullable<Int4>,
        /// Campaign of the click; NULL if unknown.
        campaign_id -> Nullable<Int4>,
        /// Campaign whose separate integration was used; NULL for the integration of the advertiser.
        integration_campaign_id -> Nullable<Int4>,
        /// Goal of an accepted or duplicate postback; NULL otherwise.
        goal_id -> Nullable<Int4>,
        /// Click named by the postback; NULL if none or not genuine.
        click_id -> Nullable<Uuid>,
        /// Conversion created or changed, or the first conversion for a duplicate; NULL if none.
        conversion_id -> Nullable<Uuid>,
        /// Order ID as sent; NULL if none.
        order_id -> Nullable<Text>,
        /// Amount as sent, in micro-units; NULL if none.
        amount_micros -> Nullable<Int8>,
        /// Currency as sent; NULL for the currency of the campaign.
        currency -> Nullable<Text>,
        /// Parameters without a column, as an object of strings.
        extra -> Jsonb,
    }
}

diesel::table! {
    /// Access of an affiliate to a campaign that is not open to all.
    promoters (network_id, campaign_id, affiliate_id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Campaign concerned.
        campaign_id -> Int4,
        /// Affiliate concerned.
        affiliate_id -> Int4,
        /// asked: waits for the network's decision. approved: may promote the campaign. declined: may not.
        status -> Text,
        /// Message of the affiliate to the network.
        note -> Text,
        /// Time of the last change of the status.
        changed_at -> Timestamptz,
    }
}

diesel::table! {
    /// Journal records that Postgres refuses, and gaps in journals: set apart so that the applier continues.
    quarantine (journal, seq) {
        /// Identity of the journal's folder.
        journal -> Uuid,
        /// Number of the record, or of the first missing one.
        seq -> Int8,
        /// Network of the record; NULL if unreadable.
        network_id -> Nullable<Int4>,
        /// Click or postback of the record; NULL if unreadable.
        event_id -> Nullable<Uuid>,
        /// Time of the quarantine.
        quarantined_at -> Timestamptz,
        /// Error of Postgres or of the journal's reader.
        reason -> Text,
        /// Record as journaled; empty for a gap.
        record -> Bytea,
    }
}

diesel::table! {
    /// Single-use codes for two-factor authentication after the loss of the device; removed once used.
    recovery_codes (person_id, code_hash) {
        /// Person the code signs in.
        person_id -> Int4,
        /// SHA-256 of the 80 random bits of the code.
        code_hash -> Bytea,
    }
}

diesel::table! {
    /// Progress of the task that fetches reference rates; empty until a node fetches them.
    reference_rate_fetches (source) {
        /// Source of the rates.
        source -> Text,
        /// Earliest next attempt; a node postpones it before it fetches, so that no other node fetches too.
        next_at -> Timestamptz,
        /// Time of the last attempt.
        tried_at -> Timestamptz,
        /// Time of the last attempt that succeeded; NULL until then.
        fetched_at -> Nullable<Timestamptz>,
        /// Problem of the last attempt that ended; empty if it succeeded.
        problem -> Text,
    }
}

diesel::table! {
    /// Exchange rates of the European Central Bank, for all networks of the installation.
    reference_rates (day, currency) {
        /// First day of the rate.
        day -> Date,
        /// ISO 4217 code, never EUR.
        currency -> Text,
        /// Value of one euro, in billionths of a unit of the currency.
        nanos_per_euro -> Int8,
        /// ecb: from a file of the European Central Bank. csv: imported from another file by an operator.
        source -> Text,
        /// Time of the last change.
        stored_at -> Timestamptz,
    }
}

diesel::table! {
    /// Stored postbacks to be decided again under the current configuration, for real or as a dry run.
    replays (network_id, id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Id of the replay; sorts by time.
        id -> Uuid,
        /// Id shared by all replays of one request.
        batch -> Uuid,
        /// Replayed postback.
        postback_id -> Uuid,
        /// Time of the request.
        requested_at -> Timestamptz,
        /// Name of the user or program that requested the replay.
        requested_by -> Text,
        /// True for a dry run, which changes nothing.
        is_dry -> Bool,
        /// Time of the decision; NULL while queued.
        done_at -> Nullable<Timestamptz>,
        /// Reason code of the verdict before the replay.
        reason_before -> Text,
        /// Reason code of the new verdict; NULL while queued.
        reason -> Nullable<Text>,
        /// New verdict in one sentence; NULL while queued.
        message -> Nullable<Text>,
        /// Conversion created or concerned; NULL if none.
        conversion_id -> Nullable<Uuid>,
        /// Commission of a conversion created by the replay, in micro-units; NULL if none.
        commission_micros -> Nullable<Int8>,
        /// Revenue of that conversion, in micro-units; NULL if none.
        revenue_micros -> Nullable<Int8>,
        /// ISO 4217: currency of both amounts; NULL if none.
        currency -> Nullable<Text>,
    }
}

diesel::table! {
    /// Views that the page of reports opens, by role.
    report_defaults (network_id, role) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Role of the members who see the view first.
        role -> Text,
        /// View of the team that is offered to the role.
        saved_report_id -> Int4,
    }
}

diesel::table! {
    /// Content of the files of reports.
    report_file_parts (network_id, file_id, part) {
        /// Network that owns the row.
        network_id -> Int4,
        /// File.
        file_id -> Int4,
        /// Number of the part, from 0.
        part -> Int4,
        /// Bytes of the part.
        data -> Bytea,
    }
}

diesel::table! {
    /// Files of reports that are prepared in the background.
    report_files (network_id, id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Id of the file.
        id -> Int4,
        /// Membership of the user who asked for the file, whose role decides about the figures.
        owner_id -> Int4,
        /// Query string of the report, with fixed days.
        query -> Text,
        /// Format of the file.
        format -> Text,
        /// waiting: no node has begun. running: a node prepares it. ready: it can be downloaded. failed: see problem.
        status -> Text,
        /// Reason why it failed, for its owner; NULL otherwise.
        problem -> Nullable<Text>,
        /// Number of rows of the report; NULL until it is computed.
        rows_total -> Nullable<Int8>,
        /// Number of rows that are written.
        rows_written -> Int8,
        /// Size of the parts that are written, in bytes.
        bytes -> Int8,
        /// Number of times that a node began to prepare it.
        attempts -> Int4,
        /// End of the claim of the node that prepares it; NULL without one.
        claimed_until -> Nullable<Timestamptz>,
        /// Time of the request.
        created_at -> Timestamptz,
        /// Time at which it was ready or failed; NULL until then.
        finished_at -> Nullable<Timestamptz>,
        /// Time at which it is removed.
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    /// Share links: secret addresses of reports.
    report_links (network_id, id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Id of the link.
        id -> Int4,
        /// Membership of the user who made the link, whose role decides about the figures.
        owner_id -> Int4,
        /// Name of the report on its page.
        name -> Text,
        /// SHA-256 of the token in the link.
        token_hash -> Bytea,
        /// Argon2id of the password that visitors enter; NULL for none.
        password_hash -> Nullable<Text>,
        /// Period relative to the day on which the report runs; NULL for the fixed days of the query.
        period -> Nullable<Text>,
        /// Query string of the report; without days if the period is relative.
        query -> Text,
        /// Time of creation.
        created_at -> Timestamptz,
        /// End of validity.
        expires_at -> Timestamptz,
        /// Time at which a user revoked it; NULL until then.
        revoked_at -> Nullable<Timestamptz>,
        /// Time of the last view; NULL until then.
        last_used_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Members who receive a scheduled mail.
    report_mail_recipients (network_id, report_mail_id, membership_id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Scheduled mail.
        report_mail_id -> Int4,
        /// Membership of the recipient, whose role decides about the figures.
        membership_id -> Int4,
        /// Due time for which the mail was last sent or skipped; NULL until then.
        sent_for -> Nullable<Timestamptz>,
        /// Reason why the recipient was skipped last time; NULL if the mail was sent.
        skipped_because -> Nullable<Text>,
        /// Time at which the recipient stopped the mail; NULL until then.
        stopped_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Saved views that are mailed at regular times.
    report_mails (network_id, id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Id of the scheduled mail.
        id -> Int4,
        /// View that is mailed.
        saved_report_id -> Int4,
        /// Membership of the user who scheduled it.
        owner_id -> Int4,
        /// daily, weekly on a day of the week, or monthly on a day of the month.
        rhythm -> Text,
        /// weekly: 1 for Monday to 7 for Sunday. monthly: 1 to 28. NULL for daily.
        on_day -> Nullable<Int2>,
        /// Hour of the day in the time zone of the network.
        at_hour -> Int2,
        /// Format of the attached file.
        format -> Text,
        /// Time of creation.
        created_at -> Timestamptz,
        /// Time at which it is due next.
        next_at -> Timestamptz,
        /// Earliest next attempt: the end of the claim of the node that sends it, or of the pause after a failure. NULL if neither.
        claimed_until -> Nullable<Timestamptz>,
        /// Number of failed attempts at the present due time.
        failures -> Int4,
        /// Reason of the last failed attempt; NULL if the last one succeeded.
        last_failure -> Nullable<Text>,
        /// Time of that failure; NULL without one.
        last_failed_at -> Nullable<Timestamptz>,
        /// Time at which it was last sent to all recipients; NULL until then.
        last_sent_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// Saved views: reports under a name.
    saved_reports (network_id, id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Id of the view.
        id -> Int4,
        /// Membership of the user who saved it.
        owner_id -> Int4,
        /// Name on pages.
        name -> Text,
        /// personal: its owner. party: users of the owner's advertiser or affiliate. team: members with one of the roles.
        audience -> Text,
        /// Roles that a view of the team is offered to; empty for the other audiences.
        roles -> Array<Nullable<Text>>,
        /// Period relative to the day on which the report runs; NULL for the fixed days of the query.
        period -> Nullable<Text>,
        /// Query string of the report; without days if the period is relative.
        query -> Text,
        /// Time of creation.
        created_at -> Timestamptz,
        /// Time of the last change.
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    /// Sessions of signed-in users. Not a tenant table: the cookie names no network, so a session is found by its hash alone.
    sessions (token_hash) {
        /// SHA-256 of the 256 random bits of the cookie; the cookie itself is not stored.
        token_hash -> Bytea,
        /// Id of the session where sessions are listed.
        id -> Int4,
        /// Person who signed in.
        person_id -> Int4,
        /// Current network; NULL for an operator outside of any network.
        network_id -> Nullable<Int4>,
        /// Membership in use: the person's own, or the impersonated one if operator_reason is set.
        membership_id -> Nullable<Int4>,
        /// Reason an operator gave for impersonating a member; NULL otherwise.
        operator_reason -> Nullable<Text>,
        /// True between password and code of two-factor authentication; such a session gives no access.
        awaits_second_factor -> Bool,
        /// User-Agent header at sign-in.
        user_agent -> Text,
        /// IP address at sign-in.
        remote_ip -> Nullable<Inet>,
        /// Time of sign-in.
        created_at -> Timestamptz,
        /// Time of the last use, to the minute: an idle session ends.
        seen_at -> Timestamptz,
        /// Latest end of the session.
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    /// Conversions that test postbacks would have created; in no rollup, report or ledger.
    test_conversions (network_id, id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Id of the postback.
        id -> Uuid,
        /// Time the postback was received.
        converted_at -> Timestamptz,
        /// Campaign of the test.
        campaign_id -> Int4,
        /// Goal reached.
        goal_id -> Int4,
        /// Test link.
        link_id -> Int4,
        /// Click of the test; NULL if attributed without a click.
        click_id -> Nullable<Uuid>,
        /// As conversions.unique_key.
        unique_key -> Text,
        /// Order ID of the advertiser; NULL if none was sent.
        order_id -> Nullable<Text>,
        /// Order amount in micro-units; NULL if none was sent.
        amount_micros -> Nullable<Int8>,
        /// ISO 4217: currency of all three amounts.
        currency -> Text,
        /// Commission the affiliate would have earned, in micro-units.
        commission_micros -> Int8,
        /// Revenue the advertiser would have owed, in micro-units.
        revenue_micros -> Int8,
        /// True if our simulation made it, which proves nothing of the advertiser.
        is_simulated -> Bool,
        /// Host of the landing page that the click led to; NULL if attributed without a click.
        host -> Nullable<Text>,
    }
}

diesel::table! {
    /// Network of a click or postback by its Host header. A reference table: host names are unique across networks.
    tracking_hosts (host) {
        /// Lower-case host name, with the port unless it is the default port of the scheme.
        host -> Text,
        /// Network that owns the host.
        network_id -> Int4,
        /// Time at which DNS proved that the network controls the host; NULL while it only claims it.
        proven_at -> Nullable<Timestamptz>,
        /// Record that proved it. txt: it has the token of the network, and is final. cname: it points to this installation, and gives way to the txt of another network. NULL without proof.
        proof -> Nullable<Text>,
        /// Time at which another network claimed the host too; from then on only txt proves it. NULL if none has.
        contested_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    /// A link of an affiliate to a campaign.
    tracking_links (network_id, id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Id of the link; also the third field of its click IDs.
        id -> Int4,
        /// Number of the edit, so that concurrent edits are detected.
        version -> Int4,
        /// Case-sensitive path of the link on the tracking host.
        alias -> Text,
        /// Affiliate who earns the commission.
        affiliate_id -> Int4,
        /// Promoted campaign.
        campaign_id -> Int4,
        /// Landing page of the link; NULL for the destinations of the campaign by weight.
        landing_page_id -> Nullable<Int4>,
        /// True if its conversions are tests, which are never paid.
        is_test -> Bool,
        /// Default of sub1 for clicks without one; NULL if none.
        sub1 -> Nullable<Text>,
        /// Default of sub2 for clicks without one; NULL if none.
        sub2 -> Nullable<Text>,
        /// Default of sub3 for clicks without one; NULL if none.
        sub3 -> Nullable<Text>,
        /// Default of sub4 for clicks without one; NULL if none.
        sub4 -> Nullable<Text>,
        /// Default of sub5 for clicks without one; NULL if none.
        sub5 -> Nullable<Text>,
        /// Time of creation.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// A URL with macros, saved in the URL builder.
    url_templates (network_id, id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Id of the template.
        id -> Int4,
        /// Advertiser that owns the template; NULL otherwise.
        advertiser_id -> Nullable<Int4>,
        /// Affiliate that owns the template; NULL otherwise. The network owns templates with neither.
        affiliate_id -> Nullable<Int4>,
        /// Display name.
        name -> Text,
        /// inbound: postback URL for another system, with its macros. outbound: URL of a tracker that we call, with our macros.
        direction -> Text,
        /// URL with macros and without secrets.
        url -> Text,
        /// Time of creation.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    /// Runs of clickledger verify, which checks that every acknowledged event is stored, in the rollups and in the ledger.
    verifications (network_id, id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Id of the run; sorts by time.
        id -> Uuid,
        /// Time of the run.
        run_at -> Timestamptz,
        /// Start of the verified period.
        period_from -> Timestamptz,
        /// End of the verified period, exclusive.
        period_to -> Timestamptz,
        /// True if every check passed.
        holds -> Bool,
        /// Checks with their counts and their first differing rows.
        checks -> Jsonb,
    }
}

diesel::table! {
    /// Corrections of conversions that wait for a second user; removed when decided.
    waiting_corrections (network_id, id) {
        /// Network that owns the row.
        network_id -> Int4,
        /// Id of the correction; sorts by time.
        id -> Uuid,
        /// Conversion to correct.
        conversion_id -> Uuid,
        /// Version of the conversion that the first user saw.
        version -> Int4,
        /// Time of the request.
        requested_at -> Timestamptz,
        /// Person who asked for it, and may not approve it.
        requested_by -> Int4,
        /// Name of that person.
        author -> Text,
        /// The correction.
        correction -> Jsonb,
        /// Its effect in words.
        effect -> Text,
        /// Reason; NULL if none was given.
        reason_code -> Nullable<Text>,
        /// Reason in words; NULL if none was given.
        reason -> Nullable<Text>,
        /// Id shared by corrections that were asked for together; NULL for single ones.
        batch -> Nullable<Uuid>,
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
diesel::joinable!(click_block_columns -> networks (network_id));
diesel::joinable!(click_blocks -> networks (network_id));
diesel::joinable!(click_rollups -> networks (network_id));
diesel::joinable!(commission_rules -> networks (network_id));
diesel::joinable!(contradicted_verdicts -> networks (network_id));
diesel::joinable!(conversion_changes -> networks (network_id));
diesel::joinable!(conversion_proofs -> networks (network_id));
diesel::joinable!(conversion_rollups -> networks (network_id));
diesel::joinable!(conversion_spans -> networks (network_id));
diesel::joinable!(coupons -> networks (network_id));
diesel::joinable!(destinations -> networks (network_id));
diesel::joinable!(event_consumers -> networks (network_id));
diesel::joinable!(event_streams -> networks (network_id));
diesel::joinable!(exchange_rates -> networks (network_id));
diesel::joinable!(goal_versions -> networks (network_id));
diesel::joinable!(goals -> networks (network_id));
diesel::joinable!(held_postbacks -> networks (network_id));
diesel::joinable!(host_claims -> networks (network_id));
diesel::joinable!(idempotency_keys -> networks (network_id));
diesel::joinable!(integrations -> networks (network_id));
diesel::joinable!(invitations -> networks (network_id));
diesel::joinable!(landing_pages -> networks (network_id));
diesel::joinable!(mailed_links -> people (person_id));
diesel::joinable!(memberships -> networks (network_id));
diesel::joinable!(memberships -> people (person_id));
diesel::joinable!(network_events -> networks (network_id));
diesel::joinable!(network_slugs -> networks (network_id));
diesel::joinable!(operator_log -> people (person_id));
diesel::joinable!(promoters -> networks (network_id));
diesel::joinable!(recovery_codes -> people (person_id));
diesel::joinable!(replays -> networks (network_id));
diesel::joinable!(report_defaults -> networks (network_id));
diesel::joinable!(report_files -> networks (network_id));
diesel::joinable!(report_links -> networks (network_id));
diesel::joinable!(report_mail_recipients -> networks (network_id));
diesel::joinable!(report_mails -> networks (network_id));
diesel::joinable!(saved_reports -> networks (network_id));
diesel::joinable!(sessions -> people (person_id));
diesel::joinable!(test_conversions -> networks (network_id));
diesel::joinable!(tracking_hosts -> networks (network_id));
diesel::joinable!(tracking_links -> networks (network_id));
diesel::joinable!(url_templates -> networks (network_id));
diesel::joinable!(verifications -> networks (network_id));
diesel::joinable!(waiting_corrections -> networks (network_id));

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
    click_block_columns,
    click_blocks,
    click_rollups,
    clicks,
    commission_rules,
    contradicted_verdicts,
    conversion_changes,
    conversion_events,
    conversion_proofs,
    conversion_rollups,
    conversion_spans,
    conversions,
    coupons,
    deliveries,
    delivery_attempts,
    destinations,
    event_consumers,
    event_streams,
    exchange_rates,
    goal_versions,
    goals,
    held_postbacks,
    host_claims,
    idempotency_keys,
    ingest_cursors,
    installation,
    integrations,
    invitations,
    landing_pages,
    ledger_entries,
    mailed_links,
    memberships,
    network_events,
    network_slugs,
    networks,
    nodes,
    operator_log,
    people,
    postbacks,
    promoters,
    quarantine,
    recovery_codes,
    reference_rate_fetches,
    reference_rates,
    replays,
    report_defaults,
    report_file_parts,
    report_files,
    report_links,
    report_mail_recipients,
    report_mails,
    saved_reports,
    sessions,
    test_conversions,
    tracking_hosts,
    tracking_links,
    url_templates,
    verifications,
    waiting_corrections,
);
