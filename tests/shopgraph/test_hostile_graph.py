"""Hostile text through the whole way: it is stored and shown, never run."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from shopgraph.cli.main import app

TEXTS = [
    "'; MATCH (n) DETACH DELETE n //",
    '"}) DETACH DELETE (n) //',
    "`) RETURN 1 //",
    "$parameter {{7*7}} \\u0041 %s",
    "<script>alert(1)</script>",
    "=cmd|'/c calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(1)",
    "[bold]x[/bold]",
    "[/x]",
    "[link=file:///etc/passwd]y[/link]",
    "\u202eabc\u202c",
    "a\u200bb",
    "😀👩\u200d👧",
]
FORMULAS = 4
"""Of the texts: those that a spreadsheet would run."""


def as_csv(rows: list[list[str]]) -> str:
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows(rows)
    return stream.getvalue()


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop in which every id and every text is hostile; users, products, brands and relations have the same ones."""
    root = tmp_path_factory.mktemp("hostile")
    source = root / "source"
    source.mkdir()
    files = {
        "products.csv": [
            ["product_id", "title", "brand", "`) SET n.x = 1 //"],
            *[[t, t, t, t] for t in TEXTS],
        ],
        "events.csv": [
            ["user_id", "product_id", "event", "time", "text", "order_id", "[red]note"],
            *[[t, t, "purchase", "2024-01-05", t, t, t] for t in TEXTS],
        ],
        "users.csv": [["user_id", "[/red]email", "<b>age"], *[[t, "x@y.example", t] for t in TEXTS]],
        "triples.csv": [["head", "relation", "tail"], *[[t, t, f"{t}!"] for t in TEXTS]],
    }
    for name, rows in files.items():
        (source / name).write_text(as_csv(rows), "utf-8", newline="")
    done = CliRunner().invoke(app, ["graph-build", str(source), "--workspace", str(root / "w")])
    assert done.exit_code == 0, done.stderr
    return root / "w"


def query(workspace: Path, *words: str) -> Result:
    done = CliRunner().invoke(app, ["query", *words, "--workspace", str(workspace)])
    assert done.exit_code == 0, done.stderr
    return done


def test_every_value_is_in_the_store_as_it_was(workspace: Path) -> None:
    asked = (
        "MATCH (u:User)-[r:PURCHASED]->(p:Product)-[:MADE_BY]->(b:Brand), (p)-[t:RELATED]->(e:Entity) "
        "RETURN u.id AS user, r.text AS text, r.red_note AS note, p.title AS title, p.set_n_x_1 AS extra, "
        "b.name AS brand, t.relation AS relation, e.id AS tail"
    )
    rows = json.loads(query(workspace, "--cypher", asked, "--format", "json").stdout)
    assert sorted(row["user"] for row in rows) == sorted(TEXTS)
    for row in rows:
        assert row.pop("tail") == row["user"] + "!"
        assert set(row.values()) == {row["user"]}


def test_hostile_parameters_are_values(workspace: Path) -> None:
    for text in TEXTS:
        done = query(
            workspace, "--cypher", "MATCH (u:User) WHERE u.id = $id RETURN u.b_age AS age", "--param",
            f"id={json.dumps(text)}", "--format", "json",
        )  # fmt: skip
        assert json.loads(done.stdout) == [{"age": text}]


def test_a_query_of_the_library_shows_them_all(workspace: Path) -> None:
    done = query(workspace, "best_sellers", "--param", "month=202401", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout, newline="")))
    assert {row["product"] for row in rows} <= set(TEXTS)
    assert len(rows) >= 10


def test_csv_keeps_formulas_and_says_so(workspace: Path) -> None:
    done = query(workspace, "--cypher", "MATCH (p:Product) RETURN p.id AS id, p.title AS title", "--format", "csv")
    assert sorted(row["title"] for row in csv.DictReader(io.StringIO(done.stdout, newline=""))) == sorted(TEXTS)
    assert f"{2 * FORMULAS} cells begin with =, +, - or @" in done.stderr
    quiet = query(workspace, "--cypher", "MATCH (p:Product) RETURN count(p) AS n", "--format", "csv")
    assert "cells begin" not in quiet.stderr


def test_markup_is_text_on_the_terminal(workspace: Path) -> None:
    shown = query(workspace, "--cypher", "MATCH (p:Product) RETURN p.title AS `title`", "--format", "table").stdout
    for text in ("[bold]x[/bold]", "[/x]", "[link=file:///etc/passwd]y[/link]"):
        assert text in shown


def test_the_quality_page_runs_nothing(workspace: Path) -> None:
    page = (workspace / "reports" / "quality.html").read_text("utf-8")
    assert "<script" not in page
    assert "<b>age" not in page
    assert "&lt;b&gt;age" in page
    assert "[/red]email" in page  # left out as a contact field, and named
