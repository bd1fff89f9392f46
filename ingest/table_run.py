"""The tables of one build, cleaned one after the other; users and products are completed at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb

from ingest.accounts import ACCOUNT_USERS, OWNERS, name_owners, resolve_accounts
from ingest.addition import Addition
from ingest.bots import BOT_RULE
from ingest.clean_files import (
    PRODUCT_TABLES,
    USER_TABLES,
    LoadedTable,
    case_variants,
    create_missing,
    write_rows,
    write_table,
)
from ingest.cleaning import CleanedTable, apply_table_rule, clean_table, good_rows, write_quarantine
from ingest.disclosure import Disclosure
from ingest.enrich.infer import infer_products
from ingest.enrich.labels import label_table, prepare_purchases
from ingest.errors import IngestError
from ingest.linkage.clusters import KEPT
from ingest.linkage.decisions import DECISIONS_FILE
from ingest.linkage.report import LinkReport
from ingest.linkage.resolve import link_accounts
from ingest.mends import DANGLING_PARENT
from ingest.merge import merge_rows
from ingest.monitor.worst_rows import worst_rows
from ingest.outliers import OUTLIER_RULES
from ingest.personal import PERSON
from ingest.progress import Progress, Station
from ingest.quality import TableQuality
from ingest.removals import Removals
from ingest.rules import Rule, RuleContext
from ingest.run_options import RunOptions
from ingest.sources import Source
from ingest.staging import quiet
from ingest.standing import CREATED, Standing
from ingest.table_account import table_account, table_remark

_FIRST = ("removals", "products", "accounts")
"""Tables that the rules of others look into."""

STORAGE_ERRORS = (
    duckdb.IOException,
    duckdb.OutOfMemoryException,
    duckdb.TransactionException,
    duckdb.FatalException,
)
"""Faults of disk and memory, not of a table; on a full disk a commit may be what fails."""

_ID_COLUMNS = (("products", "product_id"), ("products", "brand"), ("users", "user_id"), ("campaigns", "campaign_id"))
_ACCOUNT_LINKS = "account_links"
KNOWN_PRODUCTS = "known_products"


class TableRun:
    """Cleans tables into `scratch/tables`.

    Args:
        connection: the working database, with its macros.
        source: where tables come from.
        scratch: folder for what is temporary, and for the tables.
        options: how they are cleaned.
        standing: clean tables that the source's rows are added to; None to begin anew.

    Attributes:
        target: folder of the clean tables.
        quality: what became of each table so far.
        case_variants: `table.column` -> ids that differ only by case, after `complete`.
        linkage: what became of the accounts; None without an accounts table.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        source: Source,
        scratch: Path,
        options: RunOptions,
        standing: Standing | None = None,
    ) -> None:
        self._connection, self._source, self._scratch, self._options = connection, source, scratch, options
        self._disclosure = options.disclosure
        given = "products" in source.tables or (standing is not None and standing.products_given)
        self._create_products = options.dangling == "create" or not given
        known = None if self._create_products else KNOWN_PRODUCTS
        self._context = RuleContext(options.as_of, options.earliest, known)
        self._loaded: dict[str, LoadedTable] = {}
        self._removals = Removals()
        self._addition = Addition(connection, source, standing, options.disclosure) if standing is not None else None
        self._linked = False
        self.target = scratch / "tables"
        (self.target / "quarantine").mkdir(parents=True)
        self.quality: dict[str, TableQuality] = {}
        self.case_variants: dict[str, list[list[str]]] = {}
        self.linkage: LinkReport | None = None

    def order(self) -> list[str]:
        """The source's tables, those first that the rules of others look into."""
        return sorted(self._source.tables, key=lambda name: (name not in _FIRST, name != "removals"))

    def clean_all(self, progress: Progress) -> None:
        """Clean every table of the source, a station each, and complete them."""
        for name in self.order():
            with progress.station(f"clean {name}", self._source.rows(name), "rows") as station:
                self.clean(name, station)
        with progress.station("complete tables", None, "") as station:
            self.complete(station)

    def clean(self, name: str, station: Station) -> None:
        """Clean one table; products and users are written by `complete`.

        Raises:
            IngestError: a file of it cannot be read.
        """
        with _reading(name):
            if name != "removals":
                self._begin()
            self._clean(name, station)

    def _begin(self) -> None:
        """Take in the tables that stand and that the source has no rows for, once the removals are known."""
        if self._addition is None or self._addition.begun:
            return
        self._removals, tables, removed = self._addition.begin(self._removals)
        self._loaded |= tables
        self.quality |= {name: TableQuality(removed=n) for name, n in removed.items()}
        if "products" in tables:
            name_products(self._connection, tables["products"].relation)
        if "accounts" in tables:
            self._linked = True
            resolve_accounts(self._connection, linked=True, events=None)
            name_owners(self._connection, tables["accounts"].relation)

    def _clean(self, name: str, station: Station) -> None:
        staged = self._source.stage(self._connection, name, self._scratch)
        owners = OWNERS if "accounts" in self._loaded else None
        cleaned = self._look_at_all(clean_table(self._connection, staged, self._context, owners))
        quarantine = self.target / "quarantine" / f"{name}.parquet"
        write_quarantine(self._connection, staged, cleaned, quarantine, self._disclosure)
        merged = merge_rows(self._connection, cleaned)
        table = LoadedTable.of(cleaned, merged)
        if self._addition is not None:
            table, merged = self._addition.join(table, merged)
        if name == "products":
            name_products(self._connection, table.relation)
        table, removed = self._removals.apply(self._connection, table)
        if self._addition is not None and name == "events":
            self._addition.note_removed(table.relation, removed)
        self._loaded[name] = table
        quality = table_account(staged, cleaned, merged, worst_rows(self._connection, name, quarantine))
        self.quality[name] = replace(quality, removed=removed)
        if name == "removals":
            self._removals = Removals.of(self._connection, table.relation)
        if name == "accounts":
            self._link_accounts(table.relation)
        if name not in ("products", "users"):
            self._write(self._loaded[name])
        station.advance(cleaned.rows_in)
        station.note(table_remark(self.quality[name], self.linkage if name == "accounts" else None))

    def _look_at_all(self, cleaned: CleanedTable) -> CleanedTable:
        """Events after the rules that look at the whole table: bots first, so that they bend no product's figures."""
        if cleaned.name != "events":
            return cleaned
        bots, outliers, given = self._options.bots, self._options.outliers, {c.name: c.raw for c in cleaned.columns}
        if bots.on:
            unit = "session_id" if bots.by == "session" else "user_id" if given["user_id"] != "NULL" else "account_id"
            offenders = BOT_RULE.check(bots, good_rows(cleaned))
            cleaned = apply_table_rule(self._connection, cleaned, Rule(BOT_RULE.name, unit, ""), offenders)
        products = self._loaded["products"].relation if "products" in self._loaded else None
        for column in outliers.columns if outliers.on else ():
            rule = OUTLIER_RULES[column]
            offenders = rule.check(outliers, good_rows(cleaned), products)
            cleaned = apply_table_rule(self._connection, cleaned, Rule(rule.name, column, ""), offenders)
        return cleaned

    def complete(self, station: Station) -> None:
        """Create the users and products that other tables name, and write both."""
        self._begin()
        if self._options.labels.on:
            events = self._loaded["events"].relation if "events" in self._loaded else None
            prepare_purchases(self._connection, events, self._options.reference)
        users = [f"SELECT user_id FROM {self._loaded[n].relation}" for n in USER_TABLES if n in self._loaded]
        if self._resolve_accounts():
            users.append(f"SELECT user_id FROM {ACCOUNT_USERS}")
        self._finish("users", "user_id", users)
        named = [f"SELECT product_id FROM {self._loaded[n].relation}" for n in PRODUCT_TABLES if n in self._loaded]
        self._finish("products", "product_id", named if self._create_products else [])
        for table, column in _ID_COLUMNS:
            shown = self._shown.case_variants("v") if table == "users" else "v"
            relation = self._loaded[table].relation if table in self._loaded else None
            if relation and (groups := case_variants(self._connection, relation, column, shown)):
                self.case_variants[f"{table}.{column}"] = groups
        station.note(f"{self.quality['users'].created:,} users created" if "users" in self.quality else "")

    def _finish(self, name: str, key: str, references: list[str]) -> None:
        """Write users or products with the rows that the references name and the source lacks."""
        if name not in self._loaded and not references:
            return
        table, created = create_missing(self._connection, name, key, self._loaded.get(name), references)
        self._note_created(name, key)
        inferred: dict[str, int] = {}
        if name == "products":
            table, inferred = infer_products(self._connection, table, self._options.infer)
        if self._options.labels.on:
            table = label_table(self._connection, table, self._options.labels)
        self._loaded[name] = table
        dangling = self._write(table)
        quality = self.quality.get(name, TableQuality())
        if dangling:
            parents = {**quality.mends.get("parent_id", {}), DANGLING_PARENT.name: dangling}
            mends = {**quality.mends, "parent_id": parents}
            quality = replace(quality, mends=mends, mended=quality.mended + dangling)
        self.quality[name] = replace(quality, created=created, inferred=inferred)

    def _note_created(self, name: str, key: str) -> None:
        """Write which rows were created: one that nothing names any more goes with what named it."""
        people = {key: PERSON} if name == "users" else {}
        shown = self._shown.relation(self._connection, f"created_{name}", people)
        (self.target / CREATED).mkdir(exist_ok=True)
        write_rows(
            self._connection, f"SELECT {key} FROM {shown} ORDER BY {key}", self.target / CREATED / f"{name}.parquet"
        )

    def write_changes(self, target: Path) -> None:
        """Write the ids of the events that an addition added, changed or removed.

        Also the clean files of tables that stand as they were are put beside those written.
        """
        if self._addition is None:
            return
        self._addition.write_changes(target)
        for name, table in self._addition.kept(self.target).items():
            if table is None:
                self._addition.carry_over(name, self.target)
            else:
                self._write(table)

    def _link_accounts(self, accounts: str) -> None:
        """Resolve the accounts of the accounts table to users, and write the links between them."""
        linking = self._connection.cursor()  # of its own, since splink leaves tables and results behind
        try:
            linking.execute("SET TimeZone = 'UTC'")
            quiet(linking)
            decisions = self._source.files().get(DECISIONS_FILE)
            self.linkage = link_accounts(linking, accounts, self._options.link, decisions, self._scratch)
        finally:
            linking.close()
        self._linked = True
        shown = self._shown.relation(self._connection, KEPT, {"account_a": PERSON, "account_b": PERSON})
        links = f"SELECT account_a, account_b, method, confidence, kept FROM {shown} ORDER BY account_a, account_b"
        write_rows(self._connection, links, self._file(_ACCOUNT_LINKS))
        resolve_accounts(self._connection, linked=True, events=None)
        name_owners(self._connection, accounts)

    def _resolve_accounts(self) -> bool:
        """Write account_users where there are accounts; whether there are."""
        events = self._loaded["events"].relation if "events" in self._loaded else None
        resolve_accounts(self._connection, linked=self._linked, events=events)
        found = self._connection.execute(f"SELECT count(*) FROM {ACCOUNT_USERS}").fetchone()
        if not self._linked and not (found and found[0]):
            return False
        people = {"account_id": PERSON, "user_id": PERSON}
        shown = self._shown.relation(self._connection, ACCOUNT_USERS, people)
        write_rows(self._connection, f"FROM {shown} ORDER BY account_id", self._file(ACCOUNT_USERS))
        return True

    def _write(self, table: LoadedTable) -> int:
        """Write a clean file of what may be written; the number of parents emptied (see `write_table`)."""
        shown = self._shown.table(self._connection, table)
        return write_table(self._connection, shown, self._file(table.name))

    @property
    def _shown(self) -> Disclosure:
        """What is written is disclosed then; what is added to tables that stand was disclosed before."""
        return self._disclosure if self._addition is None else Disclosure()

    def _file(self, name: str) -> Path:
        return self.target / f"{name}.parquet"


def name_products(connection: duckdb.DuckDBPyConnection, relation: str) -> None:
    """Create the view `KNOWN_PRODUCTS`: a product that was removed is no unknown one."""
    connection.execute(f"CREATE OR REPLACE VIEW {KNOWN_PRODUCTS} AS SELECT product_id FROM {relation}")


@contextmanager
def _reading(table: str) -> Iterator[None]:
    """Say in one line that the database gave up on a table, whose file is whole but for its content.

    The database's own words are for `--verbose`; those about a value that does not convert would show the value.
    """
    try:
        yield
    except STORAGE_ERRORS:
        raise
    except (duckdb.Error, RuntimeError) as error:
        cause = None if isinstance(error, duckdb.ConversionException) else error
        what = f"the table {table} cannot be read ({type(error).__name__})"
        raise IngestError(what, "its files", "one of them may be damaged: copy or write it again") from cause
