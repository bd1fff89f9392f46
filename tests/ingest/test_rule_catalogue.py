"""Every rule of the catalogue: a row that breaks it, and one that just does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ingest.bots import BotSettings
from ingest.cleaning_rule import Action
from ingest.enrich.infer import InferSettings
from ingest.outliers import OutlierSettings
from ingest.rule_catalogue import CATALOGUE, rules_table

Build = Callable[..., Any]
PAGE = Path(__file__).parents[2] / "docs" / "tables.md"
EVENT = "user_id,product_id,event,time,quantity,price\n"
PRODUCTS = "product_id,title\np1,Tea\np2,Cup\n"


@dataclass(frozen=True)
class Case:
    """Rows for one rule.

    Attributes:
        table: that the rule is tried on.
        head: its header and the rows that the others are judged against.
        breaks: rows that break it.
        holds: rows that just do not.
        caught: how often the rule counts among `breaks`.
        others: further files.
        settings: of the build.
    """

    table: str
    head: str
    breaks: str | bytes
    holds: str
    caught: int = 1
    others: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)


SHOP = {"products.csv": PRODUCTS}
OUTLIERS = {"outliers": OutlierSettings(on=True, least_factor=10.0, min_observations=3)}
BOTS = {"bots": BotSettings(on=True, per_hour=3)}
USUAL = EVENT + "".join(f"u{n},p1,purchase,2024-01-0{n},2,5\n" for n in range(1, 6))
INFER = {"infer": InferSettings()}
LEAVES = "product_id,title,brand\n" + "".join(f"p{n},Leaf tea {n},Leaf\n" for n in range(40))
KINDS = "product_id,title,category\n" + "".join(f"p{n},tea {n},drinks\nq{n},cup {n}b,home\n" for n in range(40))
CASES: dict[str, Case] = {
    "ragged_row": Case("products", "product_id,title\n", "p1,Tea,more\n", 'p1,"Tea,more"\n'),
    "missing_key": Case("products", "product_id,title\n", "n/a,Tea\n", "n/a!,Tea\n"),
    "unknown_event": Case("events", EVENT, "u1,p1,purchased,,,\n", "u1,p1,PURCHASE,,,\n"),
    "unknown_table": Case("removals", "table,id\n", "triples,t1\n", "Users,u1\n"),
    "dangling_product": Case("events", EVENT, "u1,P1,view,,,\n", "u1,p1,view,,,\n", others=SHOP),
    "unreadable_time": Case("events", EVENT, "u1,p1,view,2024-13-01,,\n", "u1,p1,view,20240501,,\n"),
    "time_too_early": Case("events", EVENT, "u1,p1,view,1989-12-31T23:59:59Z,,\n", "u1,p1,view,1990-01-01,,\n"),
    "time_too_late": Case("events", EVENT, "u1,p1,view,2024-06-02T00:00:01Z,,\n", "u1,p1,view,2024-06-02,,\n"),
    "no_quantity": Case("events", EVENT, "u1,p1,purchase,,0,\n", "u1,p1,view,,0,\n"),
    "negative_quantity": Case("events", EVENT, "u1,p1,cart,,-1,\n", "u1,p1,return,,-1,\n"),
    "negative_price": Case("events", EVENT, "u1,p1,view,,,-0.01\n", "u1,p1,view,,,0\n"),
    # usual is 2, and with no spread at all ten times as much is the limit
    "outlier_quantity": Case(
        "events", USUAL, "u9,p1,purchase,2024-01-09,21,5\n", "u9,p1,purchase,2024-01-09,20,5\n", settings=OUTLIERS
    ),
    "outlier_price": Case(
        "events", USUAL, "u9,p1,purchase,2024-01-09,2,0.49\n", "u9,p1,purchase,2024-01-09,2,0.5\n", settings=OUTLIERS
    ),
    # four views within the hour, three allowed; then four of which one lies in the next hour
    "bot": Case(
        "events",
        EVENT,
        "".join(f"u1,p1,view,2024-01-01T10:0{n}:00Z,,\n" for n in range(4)),
        "".join(f"u1,p1,view,2024-01-01T{t}:00Z,,\n" for t in ("10:57", "10:58", "10:59", "11:00")),
        caught=4,
        settings=BOTS,
    ),
    "wrong_type": Case("events", EVENT, "u1,p1,view,,,1.5.0\n", "u1,p1,view,,,1.50\n"),
    "not_utf8": Case("products", "product_id,title\n", b"p1,caf\xe9\n", "p1,café\n"),
    "control_characters": Case("products", "product_id,title\n", "p1,a\x0bb\n", "p1,a\tb\n"),
    "too_long": Case("products", "product_id,title\n", f"p1,{'a' * 65_537}\n", f"p1,{'a' * 65_536}\n"),
    "dangling_parent": Case("products", "product_id,parent_id\n", "p1,p2\n", "p1,p2\np2,\n"),
    "same_event": Case(
        "events", "event_id,user_id,product_id,event\n", "1,u1,p1,view\n1,u1,p2,view\n", "1,u1,p1,view\n2,u1,p1,view\n"
    ),
    "same_id": Case("products", "product_id,title\n", "p1,Tea\np1,Cup\n", "p1,Tea\nP1,Tea\n"),
    "inferred_brand": Case("products", LEAVES, "x,LEAF! mint,\n", "x,Leafs mint,\n", settings=INFER),
    "inferred_category": Case("products", KINDS, "x,black tea,\n", "x,black teapot,\n", settings=INFER),
    "equal_rows": Case("triples", "head,relation,tail\n", "a,b,c\na,b,c\n", "a,b,c\na,b,d\n"),
}


def test_every_rule_has_a_case() -> None:
    assert set(CASES) == set(CATALOGUE)
    assert all(CATALOGUE[name].holds_for(case.table) for name, case in CASES.items())


def count(built: Any, name: str, table: str) -> int:
    quality = built.report.tables[table]
    assert quality.rows_in == quality.loaded + quality.merged + quality.quarantined
    if CATALOGUE[name].action is Action.QUARANTINE:
        assert len([r for r in built.quarantine(table) if r["rule"] == name]) == quality.rules.get(name, 0)
        return int(quality.rules.get(name, 0))
    if CATALOGUE[name].action is Action.MEND:
        return int(sum(by_rule.get(name, 0) for by_rule in quality.mends.values()))
    if CATALOGUE[name].action is Action.FILL:
        return int(quality.inferred.get(name.removeprefix("inferred_"), 0))
    return int(quality.merged)


@pytest.mark.parametrize("name", CATALOGUE)
def test_what_breaks_the_rule_is_caught(build: Build, name: str) -> None:
    case = CASES[name]
    rows = case.breaks if isinstance(case.breaks, bytes) else case.breaks.encode()
    built = build({**case.others, f"{case.table}.csv": case.head.encode() + rows}, **case.settings)
    assert count(built, name, case.table) == case.caught


@pytest.mark.parametrize("name", CATALOGUE)
def test_what_just_does_not_is_let_through(build: Build, name: str) -> None:
    case = CASES[name]
    built = build({**case.others, f"{case.table}.csv": case.head + case.holds}, **case.settings)
    quality = built.report.tables[case.table]
    assert count(built, name, case.table) == 0
    assert quality.loaded == (case.head + case.holds).count("\n") - 1


def test_rules_that_are_optional_are_off(build: Build) -> None:
    for name in (rule.name for rule in CATALOGUE.values() if rule.optional):
        case = CASES[name]
        built = build({f"{case.table}.csv": case.head + str(case.breaks)})
        assert built.report.tables[case.table].quarantined == 0


def test_the_page_has_the_table() -> None:
    assert rules_table() in PAGE.read_text(), "put what `python -m ingest.rule_catalogue` prints into docs/tables.md"
