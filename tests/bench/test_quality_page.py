"""The page, against text written by hand."""

# ruff: noqa: RUF001 - the page has en dashes
from __future__ import annotations

from dataclasses import replace

from bench.quality.figures import Row
from bench.quality.page import HEAD, Section, Table, interval, page, title_of, told
from bench.quality.protocols import Published
from gnn.measure.bootstrap import Interval

NAN = float("nan")
GOLDEN = """\
## small

A shop made by hand.

4 users are asked.

| model | NDCG@10 | HR@10 | NDCG@10 minus best baseline | seeds | CPU s | peak MiB |
| --- | --: | --: | --: | --: | --: | --: |
| ease | .5000 [.2500, .7500] | .7500 [.2500, 1.0000] | best baseline | 1 | 10 | 1,100 |
| *network* | .7500 [.5000, 1.0000] ± .0100 | – | +.2500 [-.1000, +.5000] | 2 | – | – |
| text | – | – | – | – | – | – |
| sasrec | – | – | – | – | – | – |
| als | – | – | – | – | – | – |

NDCG@10 by slice:

| model | viewed (1,200 users) | cold products |
| --- | --: | --: |
| ease | .1000 [.0000, .2000] | .2500 |
| *network* | – | – |

- text, sasrec: not applicable: the data has no text
- als: not measured yet

Published or measured elsewhere, quoted and not run here:

| model | NDCG@10 | Recall@10 | remark |
| --- | --: | --: | --- |
| another | .0530 | – | from memory |
| a third | – | .1000 | seen once |

Measured on 2 cores, 2026-11-22.
"""


def test_models_with_figures_are_told_from_those_without() -> None:
    assert told(GOLDEN) == {"ease", "network"}


def test_a_small_table_reads_as_worked_out_by_hand() -> None:
    half, most = Interval(0.5, 0.25, 0.75, 4), Interval(0.75, 0.25, 1.0, 4)
    ease = Row(
        "ease",
        {"ndcg@10": half, "hit_rate@10": most},
        NAN,
        None,
        {"ndcg@10": {"viewed": Interval(0.1, 0.0, 0.2, 1200)}},
        {"cold products": 0.25},
        seconds=10.2,
        peak_mib=1100.4,
        best=True,
    )
    network = Row(
        "network",
        {"ndcg@10": Interval(0.75, 0.5, 1.0, 4), "hit_rate@10": Interval(NAN, NAN, NAN, 0)},
        0.01,
        Interval(0.25, -0.1, 0.5, 4),
        seeds=2,
        current=False,
    )
    missing = dict.fromkeys(["text", "sasrec"], "not applicable: the data has no text") | {"als": "not measured yet"}
    table = Table(
        "New products", ["ndcg@10", "hit_rate@10"], [ease, network], missing, "4 users are asked.", ["cold products"]
    )
    published = (
        Published("another", {"ndcg@10": 0.053}, "from memory"),
        Published("a third", {"recall@10": 0.1}, "seen once"),
    )
    section = Section("small", "A shop made by hand.", [table], published, ["2 cores, 2026-11-22"])
    head, _, body = page([section]).partition("## small")
    assert f"## small{body}" == GOLDEN
    assert head.strip() == HEAD.format(missing="–").strip()


def test_several_questions_have_headings_of_their_own() -> None:
    tables = [Table(title, ["ndcg@10"], []) for title in ("New products", "Next purchase")]
    text = page([Section("small", "About.", tables)])
    assert text.index("### New products") < text.index("### Next purchase")
    assert "###" not in page([Section("small", "About.", tables[:1])])


def test_numbers() -> None:
    assert interval(Interval(0.12345, 0.1, 0.2, 3)) == ".1235 [.1000, .2000]"
    assert interval(Interval(-0.5, -1.0, 0.0, 3), signed=True) == "-.5000 [-1.0000, +.0000]"
    assert [title_of(m) for m in ("hit_rate@10", "mrr@5", "auc")] == ["HR@10", "MRR@5", "auc"]


def test_a_section_that_has_more_than_was_measured_stays_as_it_was() -> None:
    row = Row("ease", {"ndcg@10": Interval(0.5, 0.25, 0.75, 4)}, NAN, None)
    table = [Table("New products", ["ndcg@10"], [row])]
    first = page([Section("one", "About one.", table), Section("two", "About two.", table)])
    later = [Section("one", "About one, again.", []), Section("two", "About two, again.", table)]
    assert page(later, first) == first.replace("About two.", "About two, again.")
    assert page(later, page(later, first)) == page(later, first)
    new = Section("new", "About new.", [])
    assert "About one, again." in page(later)
    assert page([*later, new], first).count("About new.") == 1
    als = replace(row, model="als", current=False)
    more = [Section("one", "About one, again.", [Table("New products", ["ndcg@10"], [row, als])])]
    assert "About one, again." in page(more, first)  # what is new is added
    assert page([Section("one", "About one.", table)], page(more)) == page(more)  # and nothing is lost
