-- Blocks of clicks for reports: the clicks of a closed span, as columns. Derived from `clicks`, and kept when those are
-- dropped.

CREATE TABLE click_blocks (
    network_id integer NOT NULL REFERENCES networks (id),
    from_at timestamptz NOT NULL,
    until_at timestamptz NOT NULL CHECK (until_at > from_at),
    late integer NOT NULL DEFAULT 0,
    build uuid,
    built_late integer,
    is_sealed boolean NOT NULL DEFAULT false,
    clicks bigint NOT NULL DEFAULT 0,
    unique_clicks bigint NOT NULL DEFAULT 0,
    invalid_clicks bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (network_id, from_at),
    CONSTRAINT click_blocks_built CHECK ((build IS NULL) = (built_late IS NULL)),
    CONSTRAINT click_blocks_sealed CHECK (NOT is_sealed OR built_late = late)
);
CREATE INDEX click_blocks_by_end ON click_blocks (network_id, until_at);
COMMENT ON TABLE click_blocks IS 'Closed spans of the clicks of a network. The columns of a block are exact while built_late equals late; otherwise reports read the clicks themselves.';
COMMENT ON COLUMN click_blocks.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN click_blocks.from_at IS 'Start of the span.';
COMMENT ON COLUMN click_blocks.until_at IS 'End of the span, exclusive. Spans of a network do not overlap.';
COMMENT ON COLUMN click_blocks.late IS 'Number of transactions that stored clicks of the span after it was closed.';
COMMENT ON COLUMN click_blocks.build IS 'Identity of the columns; NULL until they are built.';
COMMENT ON COLUMN click_blocks.built_late IS 'Value of late that the columns include; NULL until they are built.';
COMMENT ON COLUMN click_blocks.is_sealed IS 'True once retention has dropped the clicks of the span: rows of clicks in it are younger than the block, and not in it.';
COMMENT ON COLUMN click_blocks.clicks IS 'Number of clicks in the columns.';
COMMENT ON COLUMN click_blocks.unique_clicks IS 'Number of unique clicks among them.';
COMMENT ON COLUMN click_blocks.invalid_clicks IS 'Number of flagged clicks among them.';

CREATE TABLE click_block_columns (
    network_id integer NOT NULL REFERENCES networks (id),
    build uuid NOT NULL,
    name text NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (network_id, build, name)
);
COMMENT ON TABLE click_block_columns IS 'Columns of the blocks of clicks, in the format of the crate columns.';
COMMENT ON COLUMN click_block_columns.network_id IS 'Network that owns the row.';
COMMENT ON COLUMN click_block_columns.build IS 'Build of the block.';
COMMENT ON COLUMN click_block_columns.name IS 'Name of the column, as in clicks; quarter_hour counts since 1970, marks is 1 for a unique click and 2 for a flagged one, added up.';
COMMENT ON COLUMN click_block_columns.data IS 'Dictionary and codes.';

-- What a conversion has from its click, so that reports need not look it up, and keep it when the click is dropped.
ALTER TABLE conversions ADD COLUMN visit text[];
COMMENT ON COLUMN conversions.visit IS 'Values of the click: sub1 to sub5, country, device, os, browser, referrer host, flag, landing page. Filled in from the row of the click; empty if that did not arrive within a week, NULL until then or without a click.';
CREATE INDEX conversions_without_visit ON conversions (network_id, id) WHERE visit IS NULL AND click_id IS NOT NULL;

CREATE FUNCTION referrer_host(referrer text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    -- Behind the scheme and a user name, up to the port or the path.
    RETURN lower(substring(referrer FROM '^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?([^/?#:]+)'));
COMMENT ON FUNCTION referrer_host(text) IS 'Host of a referrer, in lower case; NULL without one.';

CREATE FUNCTION visit_of(click clicks) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN ARRAY[click.sub1, click.sub2, click.sub3, click.sub4, click.sub5, click.country, click.device, click.os,
                 click.browser, referrer_host(click.referrer), click.flag, click.landing_page_id::text];
COMMENT ON FUNCTION visit_of(clicks) IS 'Value of conversions.visit that follows from the row of its click.';

CALL enclose('click_blocks', 'click_block_columns');
CALL admit_applier('click_blocks', 'click_block_columns');
GRANT SELECT ON click_blocks, click_block_columns TO clickledger_web;
GRANT SELECT, INSERT, UPDATE, DELETE ON click_blocks, click_block_columns TO clickledger_ingest;
-- The keeper of blocks goes through all networks; hours are those of their clocks.
CREATE POLICY ingest ON networks FOR SELECT TO clickledger_ingest USING (true);
GRANT SELECT (id, time_zone) ON networks TO clickledger_ingest;
-- A correction that moves a conversion to another click empties it.
GRANT UPDATE (visit) ON conversions TO clickledger_web;
