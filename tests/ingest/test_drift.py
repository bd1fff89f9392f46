"""Change since the build before: the index by hand and by its properties, and what two builds say of each other."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.monitor.drift import ColumnDrift, chance_psi, psi
from ingest.monitor.thresholds import QualitySettings
from ingest.monitor.volume_drift import VolumeDrift, compare_volume

Build = Callable[..., Any]
COUNTS = st.lists(st.integers(0, 10_000), min_size=2, max_size=12)
PAIRS = COUNTS.flatmap(
    lambda a: st.tuples(st.just(a), st.lists(st.integers(0, 10_000), min_size=len(a), max_size=len(a)))
).filter(lambda pair: sum(pair[0]) > 0 and sum(pair[1]) > 0)


def test_the_index_by_hand() -> None:
    # (.4 - .5) ln(.4/.5) + (.6 - .5) ln(.6/.5) = .0223144 + .0182322
    assert psi([50, 50], [40, 60]) == pytest.approx(0.0405465, abs=1e-7)
    # of ten rows an empty bin counts as half a row: (1 - .5) ln 2 + (.05 - .5) ln(.05/.5) = .3465736 + 1.0361633
    assert psi([5, 5], [10, 0]) == pytest.approx(1.3827369, abs=1e-7)
    # of many rows as .0001: .5 ln 2 + .4999 ln 5000
    assert psi([50_000, 50_000], [100_000, 0]) == pytest.approx(0.3465736 + 0.4999 * 8.5171932, abs=1e-6)


@given(PAIRS)
def test_the_index_is_symmetric_and_not_negative(pair: tuple[list[int], list[int]]) -> None:
    before, now = pair
    assert psi(before, now) >= 0
    assert psi(before, now) == pytest.approx(psi(now, before))


@given(COUNTS.filter(lambda counts: sum(counts) > 0), st.integers(1, 50))
def test_the_index_of_equal_shares_is_zero(counts: list[int], times: int) -> None:
    assert psi(counts, [times * n for n in counts]) == pytest.approx(0, abs=1e-12)


def test_what_has_no_values_has_no_index() -> None:
    with pytest.raises(ValueError, match="without values"):
        psi([0, 0], [1, 2])
    with pytest.raises(ValueError, match="zip"):
        psi([1, 2], [1, 2, 3])


@pytest.mark.parametrize("bins", [2, 3, 10, 22])
def test_chance_is_the_quantile_of_chi_square(bins: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    expected = stats.chi2.ppf(0.95, bins - 1) * (1 / (5 * bins) + 1 / (7 * bins))
    assert chance_psi([5] * bins, [7] * bins) == pytest.approx(expected, rel=0.03)
    assert chance_psi([5] * bins + [0], [7] * bins + [0]) == chance_psi([5] * bins, [7] * bins)
    assert chance_psi([5, 0], [7, 0]) == 0


@pytest.mark.parametrize(
    ("index", "chance", "level"),
    [(0.09, 0.0, ""), (0.1, 0.0, "moderate"), (0.25, 0.01, "large"), (0.3, 0.31, ""), (None, None, "")],
)
def test_levels(index: float | None, chance: float | None, level: str) -> None:
    assert ColumnDrift((1.0, 1.0), index, chance).level == level


def _days(first: str, counts: list[int]) -> dict[str, int]:
    start = date.fromisoformat(first)
    return {(start + timedelta(days=i)).isoformat(): n for i, n in enumerate(counts) if n}


def test_volume_by_hand() -> None:
    # four weeks from Monday 2024-01-01: 10 a day, 30 on Saturdays, closed on Sundays
    week = [10, 10, 10, 10, 10, 30, 0]
    before = {"all": _days("2024-01-01", week * 4), "channel=app": _days("2024-01-01", [1] * 28)}
    now = {"all": _days("2024-01-01", [*week * 3, *[5, 5, 5, 5, 5, 15, 0], 8, 10, 0])}
    found = compare_volume(before, now)
    # 320 rows before; the last week lost half of its 80; Sunday, Monday and Tuesday are new with 18 of 20 rows
    assert found["all"] == VolumeDrift(0.875, 3, 0.9, 320, 20.0)
    assert found["channel=app"] == VolumeDrift(0.0, 3, 0.0, 27, 3.0)
    assert compare_volume(before, before)["all"] == VolumeDrift(1.0, known=320)
    assert compare_volume({}, now) == {}
    assert compare_volume(before, {"all": {"2025-06-01": 10}}) == {}  # too far apart


def _events(rows: list[tuple[str, str, str, float]]) -> str:
    lines = [f"u{i % 5},p1,{event},{day},{channel},{price}" for i, (event, day, channel, price) in enumerate(rows)]
    return "user_id,product_id,event,time,channel,price\n" + "\n".join(lines) + "\n"


def _files(channels: tuple[str, str], brands: str, shift: float = 0.0, days: int = 20) -> dict[str, str]:
    rows = [
        (
            ("view", "cart")[i % 2],
            (date(2024, 1, 1) + timedelta(days=i % days)).isoformat(),
            channels[i % 2],
            i % 97 + shift,
        )
        for i in range(1_000)
    ]
    products = "product_id,brand\np1,\n" + "".join(f"q{i},{b}\n" for i, b in enumerate(brands))
    return {"products.csv": products, "events.csv": _events(rows)}


def test_the_first_build_has_nothing_to_compare_with(build: Build) -> None:
    built = build(_files(("web", "app"), "AB"))
    assert built.report.drift is None
    assert built.quality()["drift"] is None


def test_two_builds(build: Build) -> None:
    first = build(_files(("web", "app"), "AABC"))
    second = build(_files(("web", "till"), "ABDE", shift=50.0))
    drift = second.report.drift
    assert drift is not None
    assert drift.fingerprint == first.report.fingerprint
    events, products = drift.tables["events"].columns, drift.tables["products"].columns
    assert (events["channel"].new, events["channel"].vanished) == (("till",), ("app",))
    assert (products["brand"].new, products["brand"].vanished) == (("D", "E"), ("C",))
    # half of the rows moved from one of two channels to the bin of all others
    # (an empty bin of 1,000 rows counts as half a row)
    assert events["channel"].psi == pytest.approx(2 * (0.5 - 0.0005) * math.log(0.5 / 0.0005), rel=1e-6)
    assert events["event"].psi == 0
    assert products["brand"].completeness == (0.8, 0.8)
    assert events["price"].level == "large"
    assert second.quality()["drift"]["tables"]["events"]["columns"]["channel"]["new"] == ["till"]


def test_bins_of_numbers_are_the_deciles_of_the_build_before(build: Build) -> None:
    table = "product_id,price\n" + "".join(f"p{i},{i}\n" for i in range(100))
    build({"products.csv": table})
    moved = "product_id,price\n" + "".join(f"p{i},{min(i, 49)}\n" for i in range(100))
    drift = build({"products.csv": moved}).report.drift
    # deciles 9, 19, …, 89: ten bins of ten before; now the fifth holds 60 and the five above none
    expected = psi([10] * 10, [10, 10, 10, 10, 60, 0, 0, 0, 0, 0])
    assert drift is not None
    assert drift.tables["products"].columns["price"].psi == pytest.approx(expected, abs=1e-6)


def test_rules_tables_and_columns_that_come_and_go(build: Build, tmp_path: Any) -> None:
    build(
        {"events.csv": "user_id,product_id,event,mood\nu1,p1,view,glad\n", "triples.csv": "head,relation,tail\na,b,c\n"}
    )
    (tmp_path / "source/triples.csv").unlink()
    table = "user_id,product_id,event,taste\nu1,p1,view,sweet\nu1,,view,sour\n"
    drift = build({"events.csv": table, "campaigns.csv": "campaign_id\nc1\n"}).report.drift
    assert drift is not None
    assert (drift.new_tables, drift.vanished_tables) == (("campaigns",), ("triples",))
    events = drift.tables["events"]
    assert (events.new_columns, events.vanished_columns) == (("taste",), ("mood",))
    assert events.rules == {"missing_key": (0, 1)}
    assert events.rows == (1, 1)


def test_a_channel_that_became_rare_is_not_taken_for_gone(build: Build) -> None:
    def table(names: str, most: str) -> str:
        rows = [f"u{i},p{c},view,2024-01-02,{c}" for c in names for i in range(9 if c in most else 3)]
        return "user_id,product_id,event,time,channel\n" + "\n".join(rows) + "\n"

    build({"events.csv": table("abcdefghijkl", "abcdefghijkl")})
    drift = build({"events.csv": table("abcdefghijklmno", "bcdefghijklmno")}).report.drift  # fourteen are commoner
    assert drift is not None
    assert drift.tables["events"].volume["channel=a"].shared == pytest.approx(3 / 9, abs=1e-6)


def test_the_same_source_never_follows_itself(build: Build) -> None:
    files = _files(("web", "app"), "AB")
    first = build(files)
    assert build(files).report.reused
    (first.root / "work/tables/events.parquet").unlink()  # built again, though nothing changed
    again = build(files)
    assert (again.report.reused, again.report.drift) == (False, None)
    later = build(files, as_of=datetime(2024, 6, 2, tzinfo=UTC))
    assert (later.report.reused, later.report.drift) == (False, None)
    history = list((first.root / "work/reports/history").glob("*.json"))
    assert len(history) == 1
    other = build(_files(("web", "app"), "ABC")).report
    assert other.drift is not None
    back = build(files).report
    assert back.drift is not None
    assert back.drift.fingerprint == other.fingerprint


def test_the_history_is_pruned(build: Build) -> None:
    built = [build({"products.csv": f"product_id\np{i}\n"}, quality=QualitySettings(history=3)) for i in range(5)]
    files = sorted((built[0].root / "work/reports/history").glob("*.json"))
    assert [json.loads(f.read_text())["fingerprint"] for f in files] == [b.report.fingerprint for b in built[2:]]


def test_a_damaged_history_is_passed_over(build: Build) -> None:
    first = build({"products.csv": "product_id\np1\n"})
    history = first.root / "work/reports/history"
    (history / "29990101-damaged.json").write_text('{"fingerprint": "x"')
    (history / "29990102-other.json").write_text('{"fingerprint": "x", "shape": 1}')
    drift = build({"products.csv": "product_id\np2\n"}).report.drift
    assert drift is not None
    assert drift.fingerprint == first.report.fingerprint
