"""How two accounts are compared: one splink comparison per kind of evidence, levels from exact to different."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import splink.comparison_level_library as cll
from splink.comparison_library import CustomComparison

from ingest.linkage.evidence import Field, Role
from ingest.linkage.similarity import CLOSE

_MOST_PLACES = 4


@dataclass(frozen=True)
class Compared:
    """A comparison of the model.

    Attributes:
        name: of its output column.
        fields: record columns that it looks at.
        personal: whether agreement speaks for the person, not just for the household.
        levels: splink levels as dictionaries, the null level first, then from exact to different.
    """

    name: str
    fields: tuple[str, ...]
    personal: bool
    levels: tuple[dict[str, Any], ...]


def compare(fields: Sequence[Field]) -> list[Compared]:
    """The comparisons for the columns of evidence that are there."""
    return list(_comparisons({f.name: f for f in fields}, [f.name for f in fields if f.role is Role.PLACE], fields))


def _comparisons(by_name: dict[str, Field], places: list[str], fields: Sequence[Field]) -> Iterator[Compared]:
    for name, other in (("given", "surname"), ("surname", "given")):
        if name in by_name:
            yield _name(name, other if other in by_name else None)
    if "birth" in by_name:
        slip = _custom("link_date_slip(birth_number_l, birth_number_r)")
        yield _made("birth", ("birth", "birth_number"), True, [_exact("birth"), _edits("birth", 1), slip])
    if "email" in by_name:
        local = "split_part(email_{side}, '@', 1)"
        same = f"{local.format(side='l')} = {local.format(side='r')}"
        yield _made("email", ("email",), True, [_exact("email"), _custom(same), _similar("email")])
    if "phone" in by_name:
        yield _made("phone", ("phone",), False, [_exact("phone"), _edits("phone", 1)])
    if "device" in by_name:
        yield _made("device", ("device",), False, [_exact("device")])
    for field in (f for f in fields if f.role is Role.IDENTIFIER):
        yield _made(field.name, (field.name,), True, [_exact(field.name), _edits(field.name, 1), _edits(field.name, 2)])
    if places:
        yield _place(places)


def _name(name: str, other: str | None) -> Compared:
    """A part of the name; common names say less (term frequencies). Given name and surname may be swapped."""
    levels = [cll.ExactMatchLevel(name).configure(tf_adjustment_column=name)]
    if other is not None:
        levels.append(_custom(f"{name}_l = {other}_r"))
    levels.append(_similar(name))
    levels += [_custom(f"link_initial({name}_l, {name}_r)")] if name == "given" else []
    return _made(name, (name, other) if other else (name,), name == "given", levels)


def _place(places: list[str]) -> Compared:
    """The place as a whole, by the number of its columns that agree.

    Columns of one address agree together or not at all (who shares the street shares the postcode), so that comparing
    them one by one would count the same evidence several times.
    """
    if len(places) == 1:
        (name,) = places
        return _made("place", (name,), False, [_exact(name), _edits(name, 1)])
    agree = " + ".join(f"link_same_place({p}_l, {p}_r)" for p in places)
    null = " AND ".join(f"({p}_l IS NULL OR {p}_r IS NULL)" for p in places)
    counts = range(min(len(places), _MOST_PLACES), 0, -1)
    levels = [_custom(f"({agree}) >= {n}") for n in counts]
    return _made("place", tuple(places), False, levels, _custom(null).configure(is_null_level=True))


def _exact(name: str) -> Any:
    return cll.ExactMatchLevel(name)


def _edits(name: str, distance: int) -> Any:
    return _custom(f"link_edits({name}_l, {name}_r) <= {distance}")


def _similar(name: str) -> Any:
    return cll.JaroWinklerLevel(name, CLOSE)


def _custom(condition: str) -> Any:
    return cll.CustomLevel(condition)


def _made(name: str, fields: tuple[str, ...], personal: bool, levels: list[Any], null: Any = None) -> Compared:
    every = [null or cll.NullLevel(fields[0]), *levels, cll.ElseLevel()]
    made = CustomComparison(output_column_name=name, comparison_levels=every).create_comparison_dict("duckdb")
    return Compared(name, fields, personal, tuple(made["comparison_levels"]))


def gamma(compared: Compared) -> str:
    """SQL of the level that a pair reaches: the greatest is exact, 0 different, -1 unknown; as splink counts."""
    top = len(compared.levels) - 2
    null, *others = compared.levels
    cases = [f"WHEN {null['sql_condition']} THEN -1"]
    cases += [f"WHEN {level['sql_condition']} THEN {top - n}" for n, level in enumerate(others[:-1])]
    return f"CASE {' '.join(cases)} ELSE 0 END"
