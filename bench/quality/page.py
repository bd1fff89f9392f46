"""docs/quality.md: the tables of what was measured, as Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.quality.figures import Row
from bench.quality.protocols import Published
from gnn.measure.bootstrap import Interval

MISSING = "–"  # noqa: RUF001 - a dash of the width of a number
WORDS = frozenset({"remark", "settings"})
"""Columns that hold no numbers."""
TITLES = {"hit_rate": "HR", "ndcg": "NDCG", "mrr": "MRR", "recall": "Recall", "precision": "Precision"}
HEAD = """\
# Quality

Written by `python -m bench.quality`; not to be edited by hand. `python -m bench.quality --help` says how to measure
again or further: results lie in `bench/quality/results`, and a run adds what is missing or of older code.

Every product of the candidates is ranked, never a sample. Test is read once per model; settings, epochs and fusion
weights come from validation alone, by the same rule on every data set. In brackets: the 95 % interval of a bootstrap
over users; with several seeds each user's value is the mean over them, and ± is the standard deviation over seeds. The
difference is paired by user and taken to the baseline that validation prefers (its own line says so): an interval that
holds zero is no difference. Of cold products alone validation says nothing: there it is taken to the baseline that is
best on test, which favours the baselines. Every model knows valid when test is asked: what is counted is counted again,
and the history that a network reads holds it. Its weights have not seen it; "refit" is the same model with the weights
learned again on train and valid, for the epochs that validation settled (`shopgraph train --refit`, which is what
recommendations use). CPU seconds and memory are of training and evaluating in a process of its own, those of a network
that was measured as part of a fusion are not known, nor the seconds of a training that was interrupted; a peer's are
wall seconds of its training. Where settings were searched, each model had the same budget of trials on validation, and
a table tells what came of it; all other settings are those that are shipped. A model in *italics* was measured before
the code that it depends on last changed, or with other settings. {missing} is not measured; where a whole row is not,
the reason stands below.
"""


@dataclass(frozen=True)
class Table:
    """One question on one data set.

    Attributes:
        title: what is asked.
        metrics: columns.
        rows: the models.
        missing: model -> why it has no figures.
        facts: a line about users and candidates.
        slices: names of the slices that are shown, in order.
        remarks: model -> what must be known of its figures.
    """

    title: str
    metrics: Sequence[str]
    rows: Sequence[Row]
    missing: Mapping[str, str] = field(default_factory=dict)
    facts: str = ""
    slices: Sequence[str] = ()
    remarks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Search:
    """What a search on validation found.

    Attributes:
        model: its name.
        trials: settings tried.
        before: validation NDCG of the shipped settings, None where they cannot be fitted.
        after: of the best.
        settings: what the best differ in, by dotted key.
        budget: `trials` and `minutes` of the search.
    """

    model: str
    trials: int
    before: float | None
    after: float
    settings: Mapping[str, Any]
    budget: Mapping[str, float]


@dataclass(frozen=True)
class Section:
    """One protocol.

    Attributes:
        title: its name.
        about: what it is.
        tables: its questions.
        published: figures of others.
        measured_on: lines on machines and days.
        searched: what searches found.
        tuned_on: the section whose settings these are, empty: this one.
    """

    title: str
    about: str
    tables: Sequence[Table]
    published: Sequence[Published] = ()
    measured_on: Sequence[str] = ()
    searched: Sequence[Search] = ()
    tuned_on: str = ""


def page(sections: Sequence[Section], before: str = "") -> str:
    """The whole page.

    Args:
        sections: in order.
        before: the page as it was: the text of a section stays that has figures of a model without any now.
    """
    earlier = {text.partition("\n")[0]: text for text in before.split("\n## ")[1:]}
    parts = [HEAD.format(missing=MISSING)]
    for section in sections:
        stays = section.title in earlier and not told(earlier[section.title]) <= _named(section)
        parts.append(f"## {earlier[section.title].rstrip()}\n" if stays else _section(section))
    return "\n".join(parts)


def told(text: str) -> set[str]:
    """Models of which a section's text has figures."""
    lines = (line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| "))
    return {cells[0].strip("*") for cells in lines if len(cells) > 2 and "[" in cells[1]}


def _named(section: Section) -> set[str]:
    return {row.model for table in section.tables for row in table.rows}


def _section(section: Section) -> str:
    parts = [f"## {section.title}\n\n{section.about}\n"]
    for table in section.tables:
        parts += _table(table, len(section.tables) > 1)
    parts += _searched(section)
    if section.published:
        parts.append(f"Published or measured elsewhere, quoted and not run here:\n\n{_published(section)}\n")
    if section.measured_on:
        parts.append("\n".join(f"Measured on {line}." for line in section.measured_on) + "\n")
    return "\n".join(parts)


def _table(table: Table, several: bool) -> list[str]:
    parts = [f"### {table.title}\n"] if several else []
    if table.facts:
        parts.append(table.facts + "\n")
    first = title_of(table.metrics[0])
    heads = ["model", *map(title_of, table.metrics), f"{first} minus best baseline", "seeds", "CPU s", "peak MiB"]
    lines = [_line(row, table.metrics) for row in table.rows]
    lines += [[name, *[MISSING] * (len(heads) - 1)] for name in table.missing]
    parts.append(_markdown(heads, lines))
    slices = [name for name in table.slices if any(name in row.slices for row in table.rows)]
    for metric in table.metrics:
        among = list(dict.fromkeys(name for row in table.rows for name in row.groups.get(metric, {})))
        shown = slices if metric == table.metrics[0] else []
        if among or shown:
            parts.append(f"{title_of(metric)} by slice:\n")
            parts.append(_slices(table.rows, metric, among, shown))
    said = [*_by_reason(table.remarks), *_by_reason(table.missing)]
    if said:
        parts.append("\n".join(f"- {', '.join(names)}: {reason}" for reason, names in said) + "\n")
    return parts


def _by_reason(said: Mapping[str, str]) -> list[tuple[str, list[str]]]:
    """What is said of models, each reason with its models."""
    return [(reason, [name for name, why in said.items() if why == reason]) for reason in dict.fromkeys(said.values())]


def _line(row: Row, metrics: Sequence[str]) -> list[str]:
    cells = [interval(row.metrics[name]) for name in metrics]
    if not math.isnan(row.spread):
        cells[0] += f" ± {_short(row.spread)}"
    minus = MISSING if row.minus_best is None else interval(row.minus_best, signed=True)
    minus = "best baseline" if row.best else minus
    return [_name(row), *cells, minus, str(row.seeds), _number(row.seconds), _number(row.peak_mib)]


def _slices(rows: Sequence[Row], metric: str, among: Sequence[str], slices: Sequence[str]) -> str:
    groups = [row.groups.get(metric, {}) for row in rows]
    sizes = {name: one[name].users for one in groups for name in one}
    heads = ["model", *(f"{name} ({sizes[name]:,} users)" for name in among), *slices]
    lines = [
        [
            _name(row),
            *(interval(one[name]) if name in one else MISSING for name in among),
            *(_short(row.slices[name]) if name in row.slices else MISSING for name in slices),
        ]
        for row, one in zip(rows, groups, strict=True)
    ]
    return _markdown(heads, lines)


def _searched(section: Section) -> list[str]:
    if not section.searched:
        return []
    if section.tuned_on:
        return [f"Settings: those found on the validation part of {section.tuned_on}.\n"]
    budgets = {(one.budget["trials"], one.budget["minutes"]) for one in section.searched}
    limits = " or ".join(f"{trials:g} trials or {minutes:g} minutes" for trials, minutes in sorted(budgets))
    lines = [
        [
            one.model,
            str(one.trials),
            MISSING if one.before is None else _short(one.before),
            _short(one.after),
            ", ".join(f"`{key}` {_value(value)}" for key, value in one.settings.items()) or "as shipped",
        ]
        for one in section.searched
    ]
    head = f"Settings searched on validation, {limits} each, whichever came first (NDCG before and after):\n"
    return [head, _markdown(["model", "trials", "before", "after", "settings"], lines)]


def _value(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _published(section: Section) -> str:
    names = list(dict.fromkeys(name for one in section.published for name in one.figures))
    lines = [
        [one.model, *(_short(one.figures[n]) if n in one.figures else MISSING for n in names), one.remark]
        for one in section.published
    ]
    return _markdown(["model", *map(title_of, names), "remark"], lines).rstrip("\n")


def _markdown(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = ["---", *("---" if head in WORDS else "--:" for head in heads[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rule, *lines)) + "\n"


def title_of(metric: str) -> str:
    """`ndcg@10` as people write it."""
    name, at, k = metric.partition("@")
    return TITLES.get(name, name) + at + k


def interval(value: Interval, *, signed: bool = False) -> str:
    """`.1234 [.1200, .1270]`, without the zero before the point."""
    numbers = [_short(n, signed=signed) for n in (value.mean, value.low, value.high)]
    return MISSING if math.isnan(value.mean) else f"{numbers[0]} [{numbers[1]}, {numbers[2]}]"


def _short(value: float, *, signed: bool = False) -> str:
    """Four digits, without the zero before the point."""
    return f"{value:{'+' if signed else ''}.4f}".replace("0.", ".", 1)


def _name(row: Row) -> str:
    return row.model if row.current else f"*{row.model}*"


def _number(value: float) -> str:
    return MISSING if math.isnan(value) else f"{value:,.{0 if value >= 10 else 1}f}"
