"""Settings from dictionaries and from text."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import pytest

from ingest.config_dict import from_dict, to_dict, with_setting
from ingest.errors import ShopgraphError


@dataclass(frozen=True)
class Inner:
    rate: float = 0.1
    names: tuple[str, ...] = ()
    mode: Literal["fast", "exact"] = "fast"


@dataclass(frozen=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    count: int = 3
    until: str | None = None
    on: bool = False
    since: datetime | None = None
    limit: float | dict[str, float] | None = None


def test_nested_values_are_read_and_the_rest_keeps_its_default() -> None:
    made = from_dict(Outer, {"inner": {"rate": 1, "names": ["a", "b"]}, "on": True}, "file")
    assert made == Outer(Inner(1.0, ("a", "b")), 3, None, True)
    assert isinstance(made.inner.rate, float)


def test_a_number_or_a_table_of_numbers() -> None:
    assert from_dict(Outer, {"limit": 1}, "file").limit == 1.0
    assert from_dict(Outer, {"limit": {"a.b": 1, "*": 0.5}}, "file").limit == {"a.b": 1.0, "*": 0.5}
    assert with_setting(Outer(), "limit", "0.25", "--set").limit == 0.25


def test_there_and_back() -> None:
    made = Outer(Inner(0.5, ("x",), "exact"), 4, "2017-01-01", True)
    assert from_dict(Outer, to_dict(made), "memory") == made


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"cuont": 1}, ["cuont", "shop.toml", "count"]),
        ({"inner": {"rat": 1}}, ["rat", "inner", "rate"]),
        ({"count": "three"}, ["three", "count", "int"]),
        ({"count": True}, ["True", "int"]),
        ({"inner": {"mode": "slow"}}, ["slow", "fast", "exact"]),
        ({"limit": {"products.brand": "much"}}, ["much", "products.brand", "float"]),
    ],
)
def test_an_error_names_the_key_and_what_is_known(values: dict[str, object], words: list[str]) -> None:
    with pytest.raises(ShopgraphError) as caught:
        from_dict(Outer, values, "shop.toml")
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("count", "7", Outer(count=7)),
        ("inner.rate", "2e-3", Outer(Inner(rate=0.002))),
        ("inner.names", "a, b", Outer(Inner(names=("a", "b")))),
        ("inner.names", "[]", Outer()),
        ("inner.mode", "exact", Outer(Inner(mode="exact"))),
        ("until", "2017-08-01", Outer(until="2017-08-01")),
        ("until", "none", Outer()),
        ("on", "yes", Outer(on=True)),
        ("since", "2017-08-01", Outer(since=datetime(2017, 8, 1, tzinfo=UTC))),
    ],
)
def test_settings_from_text(key: str, text: str, expected: Outer) -> None:
    assert with_setting(Outer(), key, text, "--set") == expected


@pytest.mark.parametrize(("key", "text"), [("inner", "1"), ("count.x", "1"), ("count", "many"), ("on", "perhaps")])
def test_text_that_is_no_value_is_refused(key: str, text: str) -> None:
    with pytest.raises(ShopgraphError):
        with_setting(Outer(), key, text, "--set")
