#!/usr/bin/env python3
"""Compares the report questions of the benchmark with other column stores, on the same clicks.

Stores: DuckDB in its own format and on Parquet, chDB (ClickHouse) in a MergeTree table and on Parquet, Hyper, and,
if its address is given, Clickledger. Every store answers each question of the row `reports` of `./x bench` in full:
clicks, unique and invalid ones of the hundred largest groups, the number of groups, and the totals.

Install (once):

    python3 -m venv /tmp/columns
    /tmp/columns/bin/pip install duckdb chdb tableauhyperapi

Usage:

    python=/tmp/columns/bin/python script=crates/conserve/compare_columns.py
    $python $script --generate 300000                   # without a server: a similar network made by DuckDB
    ./x bench --rows reports --report-clicks 5000000 --report-keep    # prints the next command
    $python $script --postgres URL --network ID --clickledger URL --key KEY
    $python $script --parquet FILE                      # file of an earlier run with --save FILE

The result is a Markdown table on standard output. Exit status 1 if two stores give different answers.
"""

import argparse
import base64
import http.client
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections import namedtuple
from contextlib import ExitStack
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

# Time zone of the network.
ZONE = ZoneInfo("Europe/Warsaw")
DAYS = 30
# Rows of an answer.
LIMIT = 100
# Rows of a row group of the Parquet file: the default of DuckDB.
ROW_GROUP = 122_880

# Columns of the export, in the types of the table `clicks`: those of the questions and the usual dimensions of reports.
COLUMNS = {
    "clicked_at": "TIMESTAMPTZ",
    "link_id": "INTEGER",
    "campaign_id": "INTEGER",
    "affiliate_id": "INTEGER",
    "is_unique": "BOOLEAN",
    "flag": "VARCHAR",
    "country": "VARCHAR",
    "device": "VARCHAR",
    "os": "VARCHAR",
    "browser": "VARCHAR",
    "sub1": "VARCHAR",
    "sub2": "VARCHAR",
    "referrer": "VARCHAR",
}

# Question: title, columns of the groups (`day` is the day in the time zone of the network), parameters of the API.
Question = namedtuple("Question", "title keys parameters in_campaign")
QUESTIONS = [
    Question("affiliate × day", ["affiliate_id", "day"], "group=affiliate,day", False),
    Question("country × device × system", ["country", "device", "os"], "group=country,device,os", False),
    Question("sub1 in a campaign", ["sub1"], "group=sub1&campaign={campaign}", True),
    Question("sub1 × sub2 × country", ["sub1", "sub2", "country"], "group=sub1,sub2,country", False),
]

# Answer: `total` is (clicks, unique, invalid); a row is (keys, clicks, unique, invalid).
Answer = namedtuple("Answer", "total groups rows")


class Period:
    """Last thirty days of the clicks, and their first campaign."""

    def __init__(self, last: datetime, campaign: int):
        self.to = last.astimezone(ZONE).date()
        self.since = self.to - timedelta(days=DAYS - 1)
        self.campaign = campaign
        self.begin, self.end = midnight(self.since), midnight(self.to + timedelta(days=1))

    def condition(self, question: Question, instant) -> str:
        """SQL condition of a question; `instant` writes a time as SQL."""
        text = f"clicked_at >= {instant(self.begin)} AND clicked_at < {instant(self.end)}"
        return text + (f" AND campaign_id = {self.campaign}" if question.in_campaign else "")

    def offsets(self):
        """Offsets from UTC in microseconds, each with the time at which it ends."""
        found, at = [], self.begin
        while at < self.end:
            offset = at.astimezone(ZONE).utcoffset() // timedelta(microseconds=1)
            # Time zones change their offset on the full hour in UTC.
            at += timedelta(hours=1)
            if found and found[-1][0] == offset:
                found[-1] = (offset, at)
            else:
                found.append((offset, at))
        return found


def midnight(day: date) -> datetime:
    """Beginning of a day of the network, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=ZONE).astimezone(timezone.utc)


def standard_instant(at: datetime) -> str:
    return f"TIMESTAMP WITH TIME ZONE '{at:%Y-%m-%d %H:%M:%S}+00'"


def windowed(question: Question, day: str, condition: str) -> str:
    """Statement whose rows carry the totals and the number of groups, for DuckDB and Hyper."""
    keys = ", ".join(question.keys)
    groups = keys.replace("day", f"{day} AS day")
    return f"""
        SELECT *, sum(clicks) OVER (), sum(uniques) OVER (), sum(invalid) OVER (), count(*) OVER ()
        FROM (SELECT {groups}, count(*) AS clicks, count(*) FILTER (WHERE is_unique) AS uniques, count(flag) AS invalid
              FROM clicks WHERE {condition} GROUP BY {keys}) AS sums
        ORDER BY clicks DESC, {keys} LIMIT {LIMIT}"""


def windowed_answer(rows, count: int, key=lambda value: value) -> Answer:
    """Answer from the rows of `windowed`; `count` is the number of keys."""
    if not rows:
        return Answer((0, 0, 0), 0, [])
    *total, groups = (int(value) for value in rows[0][count + 3 :])
    rows = [(tuple(map(key, row[:count])), *map(int, row[count : count + 3])) for row in rows]
    return Answer(tuple(total), groups, rows)


class DuckDb:
    """DuckDB, in its own format or on the Parquet file."""

    def __init__(self, parquet: Path, folder: Path, threads: int, is_own_format: bool):
        import duckdb

        self.name = "DuckDB" if is_own_format else "DuckDB on Parquet"
        self.version = f"DuckDB {duckdb.__version__}"
        file = folder / "clicks.duckdb" if is_own_format else ":memory:"
        self.connection = duckdb.connect(str(file))
        self.connection.execute(f"SET threads = {threads}; SET TimeZone = 'UTC'")
        if is_own_format:
            self.connection.execute(f"CREATE TABLE clicks AS FROM read_parquet('{parquet}')")
            self.connection.execute("CHECKPOINT")
            self.bytes = file.stat().st_size
        else:
            self.connection.execute("SET parquet_metadata_cache = true")
            self.connection.execute(f"CREATE VIEW clicks AS FROM read_parquet('{parquet}')")
            self.bytes = parquet.stat().st_size

    def prepare(self, question: Question, period: Period) -> str:
        # Days since 1970. `clicked_at AT TIME ZONE …` gives the same, and took about four times as long in a trial.
        *others, (last, _) = period.offsets()
        cases = "".join(f"WHEN clicked_at < {standard_instant(end)} THEN {offset} " for offset, end in others)
        offset = f"CASE {cases}ELSE {last} END" if cases else str(last)
        day = f"(epoch_us(clicked_at) + {offset}) // 86400000000"
        return windowed(question, day, period.condition(question, standard_instant))

    def fetch(self, statement: str):
        return self.connection.execute(statement).fetchall()

    def answer(self, question: Question, rows) -> Answer:
        found = windowed_answer(rows, len(question.keys))
        if "day" not in question.keys:
            return found
        name = lambda keys: (keys[0], str(date(1970, 1, 1) + timedelta(days=keys[1])))
        return found._replace(rows=[(name(keys), *sums) for keys, *sums in found.rows])


class ChDb:
    """chDB, the embedded ClickHouse, in a MergeTree table or on the Parquet file."""

    # chDB has one session per process.
    session = None

    def __init__(self, parquet: Path, folder: Path, threads: int, is_own_format: bool):
        from chdb import session

        self.name = "chDB, MergeTree" if is_own_format else "chDB on Parquet"
        if ChDb.session is None:
            ChDb.session = session.Session(str(folder / "chdb"))
            self.session.query(f"SET max_threads = {threads}")
            self.session.query("CREATE DATABASE bench")
        version = self.session.query("SELECT version()", "TSV").bytes().decode().strip()
        self.version = f"chDB with ClickHouse {version}"
        self.table = "bench.clicks" if is_own_format else f"file('{parquet}', Parquet)"
        # Texts without NULL and with dictionaries, as ClickHouse recommends.
        self.invalid = "countIf(flag != '')" if is_own_format else "count(flag)"
        if is_own_format:
            self.load(parquet)
        else:
            self.bytes = parquet.stat().st_size

    def load(self, parquet: Path):
        types = {"TIMESTAMPTZ": "DateTime64(6, 'UTC')", "INTEGER": "Int32", "BOOLEAN": "Bool"}
        is_text = lambda name: COLUMNS[name] == "VARCHAR"
        text = lambda name: "String" if name == "sub1" else "LowCardinality(String)"
        columns = [f"{name} {text(name) if is_text(name) else types[COLUMNS[name]]}" for name in COLUMNS]
        values = [f"ifNull({name}, '')" if is_text(name) else name for name in COLUMNS]
        self.session.query(f"CREATE TABLE bench.clicks ({', '.join(columns)}) ENGINE = MergeTree ORDER BY clicked_at")
        self.session.query(f"INSERT INTO bench.clicks SELECT {', '.join(values)} FROM file('{parquet}', Parquet)")
        # Merges must not run beside the measurements.
        self.session.query("OPTIMIZE TABLE bench.clicks FINAL")
        size = "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = 'bench' AND table = 'clicks'"
        self.bytes = int(self.session.query(size, "TSV").bytes())

    def prepare(self, question: Question, period: Period) -> str:
        keys = ", ".join(question.keys)
        groups = keys.replace("day", f"toDate(clicked_at, '{ZONE.key}') AS day")
        instant = lambda at: f"toDateTime64('{at:%Y-%m-%d %H:%M:%S}', 6, 'UTC')"
        return f"""
            SELECT {groups}, count() AS clicks, countIf(is_unique) AS uniques, {self.invalid} AS invalid
            FROM {self.table} WHERE {period.condition(question, instant)}
            GROUP BY {keys} WITH TOTALS ORDER BY clicks DESC, {keys} LIMIT {LIMIT}
            SETTINGS exact_rows_before_limit = 1"""

    def fetch(self, statement: str):
        return json.loads(self.session.query(statement, "JSONCompact").bytes())

    def answer(self, question: Question, result) -> Answer:
        count = len(question.keys)
        rows = [(tuple(row[:count]), *map(int, row[count:])) for row in result["data"]]
        return Answer(tuple(map(int, result["totals"][count:])), result["rows_before_limit_at_least"], rows)


class Hyper:
    """Hyper, the store of Tableau."""

    name = "Hyper"

    def __init__(self, parquet: Path, folder: Path, threads: int, stack: ExitStack):
        import tableauhyperapi as hyper

        self.version = f"Hyper {hyper.__version__}"
        settings = {"log_dir": str(folder), "hard_concurrent_query_thread_limit": str(threads)}
        telemetry = hyper.Telemetry.DO_NOT_SEND_USAGE_DATA_TO_TABLEAU
        process = stack.enter_context(hyper.HyperProcess(telemetry, parameters=settings))
        file = folder / "clicks.hyper"
        with hyper.Connection(process.endpoint, file, hyper.CreateMode.CREATE_AND_REPLACE) as connection:
            connection.execute_command(f"CREATE TABLE clicks AS SELECT * FROM external('{parquet}')")
        self.bytes = file.stat().st_size
        self.connection = stack.enter_context(hyper.Connection(process.endpoint, file))

    def prepare(self, question: Question, period: Period) -> str:
        day = f"(clicked_at AT TIME ZONE '{ZONE.key}')::date"
        return windowed(question, day, period.condition(question, standard_instant))

    def fetch(self, statement: str):
        return self.connection.execute_list_query(statement)

    def answer(self, question: Question, rows) -> Answer:
        # A date of Hyper prints as 2026-11-30.
        key = lambda value: value if isinstance(value, (int, str, type(None))) else str(value)
        return windowed_answer(rows, len(question.keys), key)


class Clickledger:
    """Clickledger over HTTP, with the usual metrics of a report, conversions included, or with those of clicks."""

    version = "Clickledger"
    RFC_ALPHABET, ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "0123456789abcdefghjkmnpqrstvwxyz"

    def __init__(self, url: str, key: str, is_usual: bool, size):
        self.name = "Clickledger" if is_usual else "Clickledger, metrics of clicks"
        self.metrics = "" if is_usual else "&metrics=clicks,unique_clicks,invalid_clicks"
        address = urllib.parse.urlsplit(url)
        kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
        self.connection = kind(address.netloc)
        self.headers = {"Authorization": f"Bearer {key}"}
        self.bytes = size

    def prepare(self, question: Question, period: Period) -> str:
        number = base64.b32encode(period.campaign.to_bytes(4, "big")).decode().rstrip("=")
        campaign = "cmp_" + number.translate(str.maketrans(self.RFC_ALPHABET, self.ALPHABET))
        parameters = question.parameters.format(campaign=campaign)
        return (
            f"/api/v1/reports?from={period.since}&to={period.to}&{parameters}&sort=-clicks{self.metrics}&limit={LIMIT}"
        )

    def fetch(self, target: str):
        self.connection.request("GET", target, headers=self.headers)
        response = self.connection.getresponse()
        body = response.read()
        # The server would close the connection while the other stores take their turns; the next request opens it again.
        self.connection.close()
        if response.status == 429:
            raise RateLimited(float(response.getheader("Retry-After", "2")))
        if response.status != 200:
            sys.exit(f"{target}: {response.status} {body.decode(errors='replace')}")
        return target, json.loads(body)

    def answer(self, question: Question, result) -> Answer:
        target, report = result
        figures = lambda metrics: tuple(metrics[name] for name in ("clicks", "unique_clicks", "invalid_clicks"))
        keys = lambda row: tuple(self.key(key["dimension"], key["value"]) for key in row["keys"])
        rows = [(keys(row), *figures(row["figures"])) for row in report["rows"]]
        # The report also has groups with conversions of earlier clicks alone.
        _, (_, of_clicks) = timed(self, f"{target}&clicks.min=1")
        return Answer(figures(report["total"]), of_clicks["row_count"], rows)

    def key(self, dimension: str, value: str):
        if dimension != "affiliate":
            return value
        number = value.removeprefix("aff_").translate(str.maketrans(self.ALPHABET, self.RFC_ALPHABET))
        return int.from_bytes(base64.b32decode(number + "=" * (-len(number) % 8)), "big")


class RateLimited(Exception):
    """Response 429; holds the seconds until the next window."""


def export(url: str, network: int, parquet: Path, folder: Path):
    """Writes the clicks of a network as Parquet, in the order of their arrival."""
    csv = folder / "clicks.csv"
    # The key of a click begins with its time.
    select = f"SELECT {', '.join(COLUMNS)} FROM clicks WHERE network_id = {network} ORDER BY id"
    command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", f"COPY ({select}) TO STDOUT (FORMAT csv)", url]
    with csv.open("wb") as file:
        subprocess.run(command, stdout=file, check=True, env={**os.environ, "PGTZ": "UTC"})
    # Postgres writes NULL without quotation marks, and the empty text with them.
    options = f"header = false, nullstr = '', allow_quoted_nulls = false, columns = {COLUMNS}"
    write(f"FROM read_csv('{csv}', {options})", parquet)
    csv.unlink()


def generate(clicks: int, parquet: Path):
    """Writes clicks of the distribution of `CLICKS` in src/bench/reports.rs, from other random numbers, as Parquet."""
    span = DAYS * 86_400_000
    start = int(time.time() * 1000) - span - 60_000
    write(
        f"""
        WITH links AS (
            SELECT *, campaign_id = min(campaign_id) OVER () AS is_first
            FROM (SELECT range AS number, (hash(range, 3) >> 33)::INTEGER AS link_id,
                         (hash(range % 10, 4) >> 33)::INTEGER AS campaign_id,
                         (hash(range // 10, 5) >> 33)::INTEGER AS affiliate_id FROM range(1000)))
        SELECT make_timestamptz(1000 * ({start} + n * ({span} // {clicks}))) AS clicked_at, link_id, campaign_id,
               affiliate_id, h % 3 > 0 AS is_unique, CASE WHEN h % 20 = 0 THEN 'bot' END AS flag,
               chr((65 + h // 7 % 4)::INTEGER) || chr((65 + h // 50 % 3)::INTEGER) AS country,
               ['desktop', 'mobile', 'tablet'][1 + h // 600 % 3] AS device, 'OS ' || h // 2000 % 8 AS os,
               'Browser ' || h // 20000 % 8 AS browser,
               'sub-' || CASE WHEN is_first THEN 10000 + g % ({clicks} // 50) ELSE g % 2000 END AS sub1,
               'ad-' || h // 300000 % 50 AS sub2, 'https://site-' || h // 9000 % 30 || '.example/page' AS referrer
        FROM (SELECT range AS n, (hash(range, 1) >> 1)::BIGINT AS h, (hash(range, 2) >> 1)::BIGINT AS g
              FROM range({clicks})) JOIN links ON number = h // 11 % 1000
        ORDER BY n""",
        parquet,
    )


def write(select: str, parquet: Path):
    import duckdb

    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        options = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP}"
        connection.execute(f"COPY ({select}) TO '{parquet}' ({options})")


def look(parquet: Path):
    """Returns the number of clicks, and their period."""
    import duckdb

    with duckdb.connect() as connection:
        select = f"SELECT count(*), max(epoch_us(clicked_at)), min(campaign_id) FROM read_parquet('{parquet}')"
        clicks, last, campaign = connection.execute(select).fetchone()
    if not clicks:
        sys.exit("no clicks were found")
    return clicks, Period(datetime.fromtimestamp(last / 1e6, timezone.utc), campaign)


def size_of_blocks(url: str, network: int) -> float:
    """Returns the bytes of the network's columns in Clickledger, counted as in the row `reports`."""
    select = f"""SELECT sum(pg_column_size(data))::float8
                        / (SELECT sum(clicks) FROM click_blocks WHERE network_id = {network})
                        * (SELECT count(*) FROM clicks WHERE network_id = {network})
                 FROM click_block_columns WHERE network_id = {network}"""
    command = ["psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", select, url]
    return float(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def plain(rows):
    """Rows with the empty text for NULL, as in responses of the API."""
    return [(tuple("" if key is None else key for key in keys), *sums) for keys, *sums in rows]


def difference(one: Answer, other: Answer):
    """Returns the first difference, or None. Rows with as many clicks as the last may be others: stores may choose."""
    if one.total != other.total:
        return f"totals {one.total} and {other.total}"
    if one.groups != other.groups:
        return f"{one.groups} and {other.groups} groups"
    ours, theirs = plain(one.rows), plain(other.rows)
    if [row[1] for row in ours] != [row[1] for row in theirs]:
        return "clicks of the first rows"
    least = ours[-1][1] if ours and one.groups > LIMIT else -1
    above = lambda rows: {row for row in rows if row[1] > least}
    differing = above(ours) ^ above(theirs)
    return f"rows {sorted(differing, key=str)[:4]}" if differing else None


def percentile(figures, percent: float) -> float:
    """Percentile by nearest rank, as in src/bench/figures.rs."""
    return sorted(figures)[max(math.ceil(len(figures) * percent / 100) - 1, 0)]


def timed(store, request: str):
    """Returns the milliseconds until the rows are in Python, and the result."""
    while True:
        began = time.perf_counter()
        try:
            result = store.fetch(request)
            return (time.perf_counter() - began) * 1e3, result
        except RateLimited as limit:
            time.sleep(limit.args[0])


def measure(stores, question: Question, period: Period, runs: int):
    """Checks the answers of all stores, which also warms the stores up, then measures all of them in each round."""
    requests = [store.prepare(question, period) for store in stores]
    first = None
    for store, request in zip(stores, requests):
        for _ in range(2):
            answer = store.answer(question, timed(store, request)[1])
        first = first or answer
        found = difference(first, answer)
        if found:
            sys.exit(f"{question.title}: {stores[0].name} and {store.name} differ: {found}")
    times = [[] for _ in stores]
    for number in range(runs):
        # Every store takes every place of the order in turn.
        for place in range(len(stores)):
            at = (number + place) % len(stores)
            times[at].append(timed(stores[at], requests[at])[0])
    print(f"{question.title}: {first.groups} groups, {first.total[0]} clicks", file=sys.stderr)
    return times


def cell(times, reference) -> str:
    digits = lambda figure: f"{figure:.0f}" if figure >= 100 else f"{figure:.3g}"
    text = f"{digits(statistics.median(times))} ({digits(percentile(times, 95))})"
    if reference is None or reference is times:
        return text
    # A disturbance of a round affects both.
    ratio = statistics.median(one / other for one, other in zip(times, reference))
    return f"{text} · {ratio:.3g} ×"


def table(stores, clicks: int, results) -> str:
    """Table in Markdown: milliseconds as median (p95), and the ratio to Clickledger if that was measured."""
    reference = next((at for at, store in enumerate(stores) if store.name == "Clickledger"), None)
    lines = [["store", "bytes per click", *(question.title for question in QUESTIONS)]]
    lines.append(["---"] + ["---:"] * (len(QUESTIONS) + 1))
    for at, store in enumerate(stores):
        size = "" if store.bytes is None else f"{store.bytes / clicks:.2f}"
        cells = [cell(times[at], None if reference is None else times[reference]) for times in results]
        lines.append([store.name, size, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--postgres", metavar="URL", help="export the clicks of --network from this Postgres")
    source.add_argument("--parquet", metavar="FILE", type=Path, help="use an earlier export")
    source.add_argument("--generate", metavar="CLICKS", type=int, help="generate clicks, at least 50000")
    parser.add_argument("--network", metavar="ID", type=int, help="number of the network")
    parser.add_argument("--save", metavar="FILE", type=Path, help="write the export to this file and keep it")
    parser.add_argument("--clickledger", metavar="URL", help="measure the dashboard at this address too")
    parser.add_argument("--key", help="API key of the network, with the scope reports:read")
    parser.add_argument("--runs", type=int, default=20, help="runs of each question in each store [20]")
    parser.add_argument("--threads", type=int, default=2, help="threads of each store but Clickledger [2]")
    parser.add_argument("--folder", metavar="DIR", help="parent of the temporary folder of the stores")
    options = parser.parse_args()
    if (options.postgres is None) != (options.network is None):
        parser.error("--postgres and --network belong together")
    if (options.clickledger is None) != (options.key is None):
        parser.error("--clickledger and --key belong together")
    if options.clickledger and options.generate:
        parser.error("generated clicks are not in Clickledger")
    if options.generate is not None and options.generate < 50_000:
        parser.error("--generate needs at least 50000")
    if options.runs < 1 or options.threads < 1:
        parser.error("--runs and --threads are at least 1")
    return options


def run(options, folder: Path):
    parquet = options.parquet or options.save or folder / "clicks.parquet"
    parquet = parquet.resolve()
    if options.postgres:
        export(options.postgres, options.network, parquet, folder)
    elif options.generate:
        generate(options.generate, parquet)
    clicks, period = look(parquet)
    with ExitStack() as stack:
        stores = []
        if options.clickledger:
            size = size_of_blocks(options.postgres, options.network) if options.postgres else None
            for is_usual in (True, False):
                stores.append(Clickledger(options.clickledger, options.key, is_usual, size))
        for kind in (DuckDb, ChDb):
            for is_own_format in (True, False):
                stores.append(kind(parquet, folder, options.threads, is_own_format))
        stores.append(Hyper(parquet, folder, options.threads, stack))
        before = os.getloadavg()
        results = [measure(stores, question, period, options.runs) for question in QUESTIONS]
        after = os.getloadavg()
    versions = "; ".join(dict.fromkeys(store.version for store in stores))
    print(
        f"{clicks} clicks, {period.since} to {period.to}, {options.runs} runs, {options.threads} threads, Parquet with "
        f"zstd and {ROW_GROUP} rows per row group. {versions}. {os.cpu_count()} cores, load average of one and five "
        f"minutes {before[0]:.1f} and {before[1]:.1f} before, {after[0]:.1f} and {after[1]:.1f} after. "
        "Milliseconds: median (p95)"
        f"{' · median of the ratios to Clickledger' if options.clickledger else ''}.\n"
    )
    print(table(stores, clicks, results))


if __name__ == "__main__":
    options = parse()
    with tempfile.TemporaryDirectory(prefix="compare-columns-", dir=options.folder) as folder:
        run(options, Path(folder))
