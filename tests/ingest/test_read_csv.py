"""CSV records and the physical lines they begin on."""

from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from ingest.read_csv import Record, records


def read(text: str, delimiter: str = ",") -> list[Record]:
    return list(records(iter(io.StringIO(text, newline="")), delimiter))


fields = st.text(st.sampled_from('ab ,;"\n\r\té'), max_size=8)
tables = st.lists(st.lists(fields, min_size=2, max_size=4), max_size=12)


@given(tables, st.sampled_from(["\n", "\r\n"]))
def test_written_records_come_back_on_their_lines(table: list[list[str]], end: str) -> None:
    text, expected = "", []
    for row in table:
        line = len(io.StringIO(text, newline="").readlines()) + 1
        out = io.StringIO(newline="")
        csv.writer(out, lineterminator=end, quoting=csv.QUOTE_ALL).writerow(row)
        text += out.getvalue()
        expected.append(Record(line, row))
    assert read(text) == expected


def test_blank_lines_count_as_lines_but_not_as_records() -> None:
    assert read("a,b\n\n\n1,2\n") == [Record(1, ["a", "b"]), Record(4, ["1", "2"])]


def test_quoted_fields_span_lines() -> None:
    assert read('a,b\n1,"x\ny\nz"\n2,w\n') == [
        Record(1, ["a", "b"]),
        Record(2, ["1", "x\ny\nz"]),
        Record(5, ["2", "w"]),
    ]


def test_an_open_quote_costs_one_row() -> None:
    found = read('a,b\n1,"x\n2,y\n3,z\n')
    assert [(r.line, r.whole) for r in found] == [(1, True), (2, False), (3, True), (4, True)]
    assert found[2].fields == ["2", "y"]


def test_a_stray_quote_that_meets_another_costs_no_neighbour() -> None:
    found = read('a,b\n1,"x\n2,"y"\n3,z\n')
    assert [(r.line, r.whole) for r in found] == [(1, True), (2, False), (3, True), (4, True)]
    assert found[2].fields == ["2", "y"]


def test_a_quote_in_mid_field_is_literal() -> None:
    assert read('a,b\n5" pipe,6\n"7" pipe,8\n')[1:] == [Record(2, ['5" pipe', "6"]), Record(3, ["7 pipe", "8"])]


def test_other_delimiters() -> None:
    assert read("a;b\n1,5;2\n", ";")[1] == Record(2, ["1,5", "2"])


def test_long_fields_are_read() -> None:
    assert len(read("a,b\n1," + "x" * 300_000 + "\n")[1].fields[1]) == 300_000


@given(st.text(st.sampled_from('a,"\n'), max_size=60))
def test_any_text_is_read_to_its_end_in_order(text: str) -> None:
    lines = io.StringIO(text, newline="").readlines()
    starts = [r.line for r in read(text)]
    assert starts == sorted(set(starts))
    assert all(1 <= s <= len(lines) and lines[s - 1].strip("\r\n") for s in starts)
