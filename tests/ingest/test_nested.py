"""Nested values through a mapping: paths, the first of several columns, lists as text, a row per item of a list."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa

Build = Callable[..., Any]


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_paths_alternatives_and_joined_lists(build: Build) -> None:
    built = build({
        "mapping.toml": """
            [tables.products]
            files = ["items.json"]
            extras = ["rest"]
            [tables.products.columns]
            product_id = ["new_id", "old.id"]
            title = { from = "title", html = true }
            category = { from = "paths", join = [";", " > "], html = true }
            description = { from = "notes", join = "\\n" }
            image = "pictures.1.big url"
            cost = "price.net"
            """,
        "items.json": lines(
            {"new_id": "p1", "old": {"id": "x1"}, "title": "Tea &amp; &quot;Milk&quot; &amp;lt;", "rest": {"a": [1]},
             "paths": [["Food", "Tea; &amp; > Co"], ["Gifts"]], "notes": ["one", None, "two"],
             "pictures": [{"big url": "a"}, {"big url": "b"}], "price": {"net": 2.5}},
            {"new_id": " null ", "old": {"id": 7}, "paths": ["Food", "Milk"], "notes": "as it is", "pictures": []},
            {"old": None, "paths": [], "notes": []},
        ),
    })  # fmt: skip
    tea, milk = sorted(built.rows("products"), key=lambda r: r["product_id"], reverse=True)
    assert (tea["product_id"], milk["product_id"]) == ("p1", "7")
    assert tea["title"] == 'Tea & "Milk" &lt;'
    assert (tea["category"], milk["category"]) == ("Food > Tea  & Co;Gifts", "Food > Milk")
    assert (tea["description"], milk["description"]) == ("one\ntwo", "as it is")
    assert (tea["image"], milk["image"]) == ("b", None)
    assert (tea["cost"], milk["cost"]) == (2.5, None)
    assert tea["rest"] == '{"a": [1]}'
    assert set(tea) - {"rest"} == set(milk) - {"rest"}  # what is taken apart is no extra column
    assert "paths" not in tea
    held = built.quarantine("products")
    assert [(r["line"], r["rule"], r["column"]) for r in held] == [(3, "missing_key", "product_id")]
    assert json.loads(held[0]["row"])["paths"] == "[]"


def test_a_column_whose_name_has_dots_is_itself(build: Build) -> None:
    built = build({
        "mapping.toml": '[tables.users]\ncolumns = { user_id = "a.b", city = "a.c.d" }\n',
        "users.jsonl": lines({"a.b": "u1", "a": {"b": "wrong"}, "a.c": {"d": "Bonn"}}),
    })  # fmt: skip
    assert [(r["user_id"], r["city"]) for r in built.rows("users")] == [("u1", "Bonn")]


UNNEST = """
dangling = "create"
[tables.triples]
files = ["items*"]
extras = false
[tables.triples.unnest]
bought = "related.bought"
seen = "seen"
[tables.triples.columns]
head = "id"
relation = "unnest.list"
tail = "unnest.item"
"""


def test_a_row_for_every_item_of_the_lists(build: Build) -> None:
    built = build({
        "mapping.toml": UNNEST,
        "items.jsonl": lines(
            {"id": "a", "related": {"bought": ["b", "c", "b"]}, "seen": ["b"]},
            {"id": "b", "related": None, "seen": []},
            {"id": "c", "seen": "d"},
            {"id": "d", "related": {"bought": ["a", None, 3]}},
        ) + "no json\n",
    })  # fmt: skip
    found = [(r["head"], r["relation"], r["tail"]) for r in built.rows("triples")]
    assert sorted(found) == [
        ("a", "bought", "b"), ("a", "bought", "c"), ("a", "seen", "b"), ("c", "seen", "d"),
        ("d", "bought", "3"), ("d", "bought", "a"),
    ]  # fmt: skip
    triples = built.report.tables["triples"]
    assert (triples.rows_in, triples.loaded, triples.merged, triples.quarantined) == (9, 6, 1, 2)
    held = [(r["source_file"], r["line"], r["rule"], r["column"]) for r in built.quarantine("triples")]
    assert held == [("items.jsonl", 4, "missing_key", "tail"), ("items.jsonl", 5, "ragged_row", None)]


def test_lists_of_parquet_are_unnested_in_file_and_row_order(build: Build) -> None:
    part = {"id": ["a", None], "related": [{"bought": ["b", "c"]}, {"bought": ["d"]}], "seen": [["x"], None]}
    built = build({
        "mapping.toml": UNNEST,
        "items-1.parquet": pa.table(part),
        "items-2.parquet": pa.table({**part, "id": [None, "z"]}),
    })  # fmt: skip
    assert sorted((r["head"], r["tail"]) for r in built.rows("triples")) == [
        ("a", "b"), ("a", "c"), ("a", "x"), ("z", "d"),
    ]  # fmt: skip
    held = [(r["source_file"], r["line"]) for r in built.quarantine("triples")]
    assert held == [("items-1.parquet", 2), *[("items-2.parquet", 1)] * 3]


def test_python_literals_are_read_only_where_the_mapping_says_so(build: Build) -> None:
    content = (
        "{'user_id': 'u1', 'likes': [1, None, True], 'city': \"O'Fallon\"}\n"
        "{'user_id': __import__('os').getcwd()}\n"
        "{'user_id': {'a', 'b'}}\n"
        "{'user_id': 'u2', 'city': 'a\\d'}\n" + "{'user_id': " + "(" * 5000 + "}\n"
        '{"user_id": "u3"}\n'
    )
    built = build({
        "mapping.toml": '[tables.users]\nfiles = ["users.json"]\npython_literals = true\n', "users.json": content,
    })  # fmt: skip
    assert [(r["user_id"], r["city"], r["likes"]) for r in built.rows("users")] == [
        ("u1", "O'Fallon", "[1, null, true]"), ("u2", "a\\d", None), ("u3", None, None),
    ]  # fmt: skip
    assert [(r["line"], r["rule"]) for r in built.quarantine("users")] == [(n, "ragged_row") for n in (2, 3, 5)]


def test_python_literals_are_ragged_by_default(build: Build) -> None:
    built = build({"users.jsonl": "{'user_id': 'u1'}\n{\"user_id\": \"u2\"}\n"})
    assert [r["user_id"] for r in built.rows("users")] == ["u2"]
    assert [r["line"] for r in built.quarantine("users")] == [1]


def test_an_optional_table_may_lack_files_and_columns(build: Build) -> None:
    built = build({
        "mapping.toml": """
            [tables.products]
            files = ["meta*.json"]
            optional = true
            [tables.events]
            files = ["log.jsonl"]
            optional = true
            columns = { user_id = "who", text = "words.said", colour = "colour" }
            """,
        "log.jsonl": lines({"who": "u", "product_id": "p", "event": "view"}),
    })  # fmt: skip
    assert [(r["user_id"], r["text"]) for r in built.rows("events")] == [("u", None)]
    assert "colour" not in built.rows("events")[0]


def test_broken_bytes_within_nested_values_are_mended(build: Build) -> None:
    built = build({
        "mapping.toml": '[tables.users]\ncolumns = { user_id = "id", city = "home.city" }\n',
        "users.jsonl": b'{"id": "u1", "home": {"city": "K\xf6ln"}}\n{"id": "u2", "home": {"city": "Bonn"}}\n',
    })  # fmt: skip
    assert [r["city"] for r in built.rows("users")] == ["K\ufffdln", "Bonn"]
    assert built.report.tables["users"].mends == {"city": {"not_utf8": 1}}
