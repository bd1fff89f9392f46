"""Cleaning Complete Journey, once and many times over: rows a second and peak memory, beside a plain pandas script.

    python -m bench.ingest_scale [--out FILE] [--copies 1,10] [--rivals pandas]

The source is a directory of Parquet files: the products, and per copy a file of the 1.47 million purchase lines, of
other users each. To the faults that the data have (unknown products, quantities of zero) others are added in known
number: missing keys, unknown events, times out of range, negative prices, exact duplicates. Both sides must come to
the same counts per rule. `bench/ingest_once.py` is what is timed, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console

from bench.measure import machine, run, write_report
from ingest.complete_journey import CompleteJourney
from ingest.names import literal
from shopgraph.cli.console import PIPE_WIDTH, table

LIMIT_MIB = 4096
"""The memory within which shopgraph must clean every size."""

_FAULTY = """
    SELECT * REPLACE (
        CASE WHEN n % 1009 = 1 THEN CASE n % 3 WHEN 0 THEN ' ' WHEN 1 THEN 'NULL' ELSE NULL END ELSE user_id END
            AS user_id,
        CASE WHEN n % 1013 = 2 THEN 'void' WHEN n % 5 = 0 THEN 'Purchase' ELSE event END AS event,
        CASE WHEN n % 1019 = 3 THEN time - INTERVAL 40 YEAR WHEN n % 1021 = 4 THEN time + INTERVAL 10 YEAR ELSE time END
            AS time,
        CASE WHEN n % 1031 = 5 THEN -price ELSE price END AS price)
    FROM lines"""


def write_source(folder: Path, copies: int) -> int:
    """Write products and `copies` files of events; the number of events."""
    lines = CompleteJourney.installed().folder / "transactions.parquet"
    products = lines.with_name("products.parquet")
    total = 0
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'; SET threads = 2; SET memory_limit = '2GB'")
        connection.execute(
            f"COPY (SELECT CAST(product_id AS VARCHAR) AS product_id, department, product_type FROM "
            f"read_parquet({literal(str(products))})) TO {literal(str(folder / 'products.parquet'))} (FORMAT parquet)"
        )
        connection.execute(
            "CREATE TEMP TABLE lines AS SELECT file_row_number AS n, CAST(household_id AS VARCHAR) AS user_id, "
            "CAST(product_id AS VARCHAR) AS product_id, 'purchase' AS event, "
            "CAST(transaction_timestamp AS TIMESTAMPTZ) AS time, CAST(quantity AS DOUBLE) AS quantity, "
            "CASE WHEN quantity > 0 THEN sales_value / quantity END AS price, CAST(store_id AS VARCHAR) AS store, "
            "CAST(basket_id AS VARCHAR) AS order_id, retail_disc, coupon_disc, week "
            f"FROM read_parquet({literal(str(lines))}, file_row_number = true)"
        )
        connection.execute(f"CREATE TEMP TABLE faulty AS {_FAULTY}")
        for copy in range(copies):
            suffix = literal(f"-{copy}")
            once = (
                "SELECT CASE WHEN n % 1009 = 1 THEN user_id ELSE user_id || " + suffix + " END AS user_id, "
                "* EXCLUDE (n, user_id) FROM faulty"
            )
            target = folder / f"events-{copy:03}.parquet"
            written = connection.execute(
                f"COPY ({once} UNION ALL ({once} WHERE n % 499 = 0)) TO {literal(str(target))} (FORMAT parquet)"
            ).fetchone()
            total += int(written[0]) if written else 0
    return total


def measured(how: str, source: Path, out: Path, rows: int) -> dict[str, Any]:
    """One run of `bench.ingest_once`."""
    done = run([sys.executable, "-m", "bench.ingest_once", how, str(source), str(out)])
    said = json.loads(done.stdout)
    return {
        "seconds": round(done.seconds, 1),
        "cpu_seconds": said["cpu_seconds"],
        "rows_per_second": round(rows / done.seconds),
        "peak_mib": round(done.peak_mib),
        "counts": said["counts"],
    }


def figures(copies: int, rivals: list[str]) -> dict[str, Any]:
    """The figures of one size.

    Raises:
        SystemExit: the counts differ, or shopgraph took more memory than it may.
    """
    with tempfile.TemporaryDirectory(prefix="shopgraph-bench-") as name:
        folder = Path(name)
        (folder / "source").mkdir()
        rows = write_source(folder / "source", copies)
        size = sum(path.stat().st_size for path in (folder / "source").iterdir())
        found: dict[str, Any] = {"copies": copies, "rows": rows, "source_mib": round(size / 2**20)}
        for how in ("shopgraph", *rivals):
            found[how] = measured(how, folder / "source", folder / how, rows)
            if found[how]["counts"] != found["shopgraph"]["counts"]:
                sys.exit(f"the counts differ: {found['shopgraph']['counts']} and, by {how}, {found[how]['counts']}")
    if found["shopgraph"]["peak_mib"] > LIMIT_MIB:
        sys.exit(f"shopgraph took {found['shopgraph']['peak_mib']} MiB, more than {LIMIT_MIB}")
    return found


def show(sizes: list[dict[str, Any]]) -> None:
    """Print the figures."""
    rows = [
        (f"{size['rows']:,}", how, size[how]["seconds"], size[how]["cpu_seconds"],
         f"{size[how]['rows_per_second']:,}", f"{size[how]['peak_mib']:,}", f"{size[how]['counts']['quarantined']:,}",
         f"{size[how]['counts']['merged']:,}")
        for size in sizes for how in size if isinstance(size[how], dict)
    ]  # fmt: skip
    columns = ("events", "by", "seconds", "CPU s", "events/s", "peak MiB", "quarantined", "merged")
    out = Console(soft_wrap=True, highlight=False, width=PIPE_WIDTH)
    out.print(table("Cleaning events", columns, rows, right=tuple(c for c in columns if c != "by")))


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("bench/results/ingest_scale.json"))
    parser.add_argument("--copies", default="1,10")
    parser.add_argument("--rivals", default="pandas", help="pandas, or nothing")
    args = parser.parse_args()
    rivals = [name for name in args.rivals.split(",") if name]
    sizes = [figures(int(n), rivals) for n in args.copies.split(",")]
    show(sizes)
    write_report({"machine": machine(), "sizes": sizes}, args.out)


if __name__ == "__main__":
    main()
