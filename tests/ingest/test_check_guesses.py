"""What `check` guesses from: encodings, delimiters, times and numbers as they are written; and the draft as TOML."""

from __future__ import annotations

import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.check.draft import Draft
from ingest.check.guess import Guesser
from ingest.check.samples import FileSample, SampleColumn, sample_file
from ingest.check.tables import TableFiles, table_of
from ingest.check.values import decimal_of, time_reading
from ingest.contract import TABLES
from ingest.mapping import read_mapping

keys = st.text(min_size=1, max_size=8)
plain = st.one_of(
    st.text(max_size=8), st.integers(-(2**40), 2**40), st.booleans(), st.floats(allow_nan=False, allow_infinity=False)
)
values = st.one_of(plain, st.lists(st.text(max_size=5), max_size=3), st.dictionaries(keys, plain, max_size=3))
tables = st.dictionaries(keys, st.dictionaries(keys, values, max_size=4), max_size=3)


@given(st.dictionaries(keys.filter(lambda k: k != "tables"), plain, max_size=3), tables, st.text(max_size=20))
def test_a_draft_is_toml_that_says_the_same(top: dict[str, Any], tables: dict[str, Any], why: str) -> None:
    draft = Draft({**top, "tables": tables})
    draft.put(("tables", "users", "files"), ["a"], repr(why))
    assert tomllib.loads(draft.toml()) == draft.content


cells = st.one_of(
    st.text(max_size=6), st.integers(), st.floats(), st.sampled_from(["1,5", "$3", "2/3/2024", "buy", "[1]"]),
    st.lists(st.text(max_size=3), max_size=2), st.dictionaries(st.text(max_size=3), st.lists(st.text(max_size=2))),
)  # fmt: skip
names = st.one_of(
    st.text(min_size=1, max_size=5),
    st.sampled_from(["CustomerID", "sku", "Datum", "qty", "price", "name", "rating", "action", "category", "email"]),
)


@given(
    st.dictionaries(names, st.lists(cells, max_size=5), max_size=6), st.sampled_from(["sales", "meta", "kunden", "x"])
)
def test_whatever_is_guessed_is_a_mapping(tmp_path_factory, columns: dict[str, list[Any]], stem: str) -> None:  # type: ignore[no-untyped-def]
    sample = FileSample(f"{stem}.csv", "CSV", tuple(SampleColumn(n, tuple(v)) for n, v in columns.items()))
    table = table_of(sample)[0]
    draft = Draft()
    Guesser(draft, [TableFiles(table, (sample,), False)] if table else []).guess()
    path = tmp_path_factory.mktemp("draft") / "draft.toml"
    path.write_text(draft.toml(), "utf-8")
    mapping = read_mapping(path)
    assert not table or set(mapping.tables) == set(TABLES)


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-16", "utf-8-sig"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_encoding_and_delimiter_are_seen(tmp_path: Path, encoding: str, delimiter: str) -> None:
    rows = [["user_id", "Größe, Maß", "Text"], *([f"u{i}", "1,5", 'er sagt: "ja; nein", gut|so'] for i in range(30))]
    text = "\n".join(delimiter.join('"' + f.replace('"', '""') + '"' for f in row) for row in rows) + "\n"
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode(encoding))
    sample = sample_file(path, "t.csv")
    assert sample is not None
    assert [c.name for c in sample.columns] == rows[0]
    assert (sample.delimiter, sample.encoding) == (delimiter, encoding.removesuffix("-sig"))
    assert sample.columns[2].values[0] == rows[1][2]


def test_a_few_broken_bytes_do_not_make_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("user_id,city\nu1,Köln\nu2,Zürich\n".encode() + b"u3,D\xfcren\n")
    sample = sample_file(path, "t.csv")
    assert sample is not None
    assert sample.encoding == "utf-8"


@pytest.mark.parametrize(
    ("values", "pattern", "unit"),
    [
        (["2024-01-02", "2024-01-03T10:00:00Z"], (), 1.0),
        (["1700000000"], (), 1.0),
        (["1700000000000"], (), 1e-3),
        ([1700000000000000], (), 1e-6),
        (["31.12.2023"], ("%d.%m.%Y",), 1.0),
        (["12/31/2023 8:05"], ("%m/%d/%Y %H:%M",), 1.0),
        (["31/12/23"], ("%d/%m/%y",), 1.0),
        (["Dec 31, 2023"], ("%b %d, %Y",), 1.0),
        (["09 13, 2009"], ("%m %d, %Y",), 1.0),
        (["12/31/2023 08:05:10 PM"], ("%m/%d/%Y %I:%M:%S %p",), 1.0),
        ([datetime(2024, 1, 1)], (), 1.0),
    ],
)
def test_how_times_are_written(values: list[Any], pattern: tuple[str, ...], unit: float) -> None:
    reading = time_reading(SampleColumn("t", tuple(values)))
    assert reading is not None
    assert (reading.patterns, reading.unit, reading.ambiguous) == (pattern, unit, False)


@pytest.mark.parametrize("values", [["red", "blue"], ["1", "2"], ["17"], [], ["2024"], [["2024-01-01"]]])
def test_what_is_no_time(values: list[Any]) -> None:
    assert time_reading(SampleColumn("t", tuple(values))) is None


@pytest.mark.parametrize(
    ("values", "sign"),
    [
        (["1.5", "2"], ""), ([1, 2.5], ""), (["1,5", "2"], ","), (["1.234,50 €"], ","), (["$1,234.50", "$3.00"], "."),
        (["1,234"], "."), (["red"], None), ([], None), (["€"], None), (["1.234,5", "1.000"], ","),
    ],
)  # fmt: skip
def test_decimal_signs(values: list[Any], sign: str | None) -> None:
    assert decimal_of(SampleColumn("n", tuple(values))) == sign
