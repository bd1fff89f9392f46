"""Thresholds broken and held, and what becomes of a build that is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ingest.build import build_tables
from ingest.config_dict import from_dict
from ingest.errors import IngestError
from ingest.monitor.thresholds import BrokenThresholdsError, QualitySettings
from ingest.settings import IngestSettings

Build = Callable[..., Any]
# ten rows in, of which one is quarantined; five of the nine good ones have a price, one of them is mended
EVENTS = "user_id,product_id,event,price,channel,time\n" + "".join(
    f"u{i},{'' if i == 9 else 'p1'},view,{i if i < 5 else 'x' if i == 5 else ''},web,2024-02-0{i % 2 + 1}\n"
    for i in range(10)
)
PRODUCTS = "product_id,brand\np1,A\np2,B\np3,\np4,A\n"
BEFORE = {"products.csv": PRODUCTS, "events.csv": EVENTS}
# two new brands for one that vanished; half the events of known days, none of the channel web
AFTER = {
    "products.csv": "product_id,brand\np1,A\np2,C\np3,D\np4,\n",
    "events.csv": "user_id,product_id,event,price,channel,time\n"
    + "u1,p1,view,,app,2024-02-01\n" * 1
    + "u2,p1,view,,app,2024-02-01\nu3,p1,view,,app,2024-02-02\nu4,p1,view,,app,2024-02-02\n",
}


def _broken(build: Build, files: list[dict[str, str]], **thresholds: Any) -> list[tuple[str, float]]:
    for content in files:
        report = build(content, quality=QualitySettings(**thresholds)).report
    return [(b.key, b.found) for b in report.broken]


@pytest.mark.parametrize(
    ("thresholds", "broken"),
    [
        ({"max_quarantined": 0.1}, []),
        ({"max_quarantined": 0.09}, [("events", 0.1)]),
        ({"max_quarantined": {"events": 0.2, "*": 0.0}}, []),
        ({"max_quarantined": {"events.missing_key": 0.05}}, [("events.missing_key", 0.1)]),
        ({"max_mended": 0.12}, []),
        ({"max_mended": {"events.price": 0.11}}, [("events.price", 0.111111)]),
        ({"min_rows": {"events": 9, "products": 4}}, []),
        ({"min_rows": {"events": 10}}, [("events", 9.0)]),
        ({"min_rows": {"triples": 1}}, [("triples", 0.0)]),
        ({"min_completeness": {"products.brand": 0.75}}, []),
        ({"min_completeness": {"products.brand": 0.76}}, [("products.brand", 0.75)]),
        ({"min_completeness": {"products.brnad": 0.1}}, [("products.brnad", 0.0)]),
        ({"max_psi": 0.1, "max_new_categories": 0.0, "min_volume_ratio": 0.9}, []),  # nothing to compare with
    ],
)
def test_of_one_build(build: Build, thresholds: dict[str, Any], broken: list[tuple[str, float]]) -> None:
    assert _broken(build, [BEFORE], **thresholds) == broken


@pytest.mark.parametrize(
    ("thresholds", "broken"),
    [
        ({"max_new_categories": {"products.brand": 2}}, []),
        ({"max_new_categories": {"products.brand": 1}}, [("products.brand", 2.0)]),
        ({"max_vanished_categories": {"products": 0}}, [("products.brand", 1.0)]),
        ({"min_rows_ratio": 0.4}, []),
        ({"min_rows_ratio": {"events": 0.5}}, [("events", 0.444444)]),
        ({"max_completeness_drop": {"events.price": 0.5}}, [("events.price", 0.555556)]),
        ({"min_volume_ratio": {"events.all": 0.4, "events.channel=web": 0.0}}, []),
        ({"min_volume_ratio": {"events.all": 0.5}}, [("events.all", 0.444444)]),
        ({"min_volume_ratio": {"events.channel=web": 0.1}}, [("events.channel=web", 0.0)]),
        ({"max_volume_ratio": {"events": 0.3}}, [("events.all", 0.444444), ("events.event=view", 0.444444)]),
        ({"max_psi": {"events.channel": 1.0}}, [("events.channel", pytest.approx(1.75 * math.log(8), abs=1e-6))]),
        ({"max_psi": {"products.brand": 0.0}}, []),  # of four rows each, it may well be chance
    ],
)
def test_of_the_change_between_two(build: Build, thresholds: dict[str, Any], broken: list[tuple[str, float]]) -> None:
    assert _broken(build, [BEFORE, AFTER], **thresholds) == broken


def test_a_broken_threshold_says_it_in_one_line(build: Build) -> None:
    report = build(BEFORE, quality=QualitySettings(max_quarantined=0.05, min_rows={"events": 10})).report
    assert [b.line for b in report.broken] == [
        "events: the share of rows in quarantine is 0.1, above max_quarantined = 0.05",
        "events: the number of rows is 9, below min_rows = 10",
    ]
    assert build(BEFORE).quality()["broken"] == []  # nothing is built again, but judged again


@pytest.mark.parametrize(
    ("thresholds", "word"),
    [
        ({"max_quarantined": 2.0}, "max_quarantined"),
        ({"min_rows": {"evnts": 1.0}}, "evnts"),
        ({"min_rows": -1.0}, "min_rows"),
        ({"warn_only": ("psi",)}, "psi"),
    ],
)
def test_thresholds_that_mean_nothing(build: Build, thresholds: dict[str, Any], word: str) -> None:
    with pytest.raises(IngestError, match=word):
        build(BEFORE, quality=QualitySettings(**thresholds))


def test_thresholds_from_a_settings_file() -> None:
    values = {"quality": {"max_quarantined": 0, "min_completeness": {"products.brand": 0.9}, "warn_only": ["max_psi"]}}
    assert from_dict(IngestSettings, values, "shopgraph.toml").quality == QualitySettings(
        max_quarantined=0.0, min_completeness={"products.brand": 0.9}, warn_only=("max_psi",)
    )


class _Nightly:
    """The same command night after night."""

    def __init__(self, root: Path, **thresholds: Any) -> None:
        self.root, self.thresholds = root, thresholds
        (root / "source").mkdir()

    def deliver(self, files: dict[str, str]) -> None:
        for name, content in files.items():
            (self.root / "source" / name).write_text(content)

    def build(self, *, fail_on: bool, **thresholds: Any) -> Any:
        settings = IngestSettings(quality=QualitySettings(**(thresholds or self.thresholds)))
        work = self.root / "work"
        return build_tables(
            str(self.root / "source"), work / "tables", work / "reports", settings=settings, fail_on=fail_on
        )

    def state(self) -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in (self.root / "work/tables").rglob("*") if p.is_file()}

    def history(self) -> int:
        return len(list((self.root / "work/reports/history").glob("*.json")))


def test_a_refused_build_leaves_everything_but_the_reports(tmp_path: Path) -> None:
    night = _Nightly(tmp_path, min_rows={"events": 9}, max_psi=2.0, warn_only=("max_psi",))
    night.deliver(BEFORE)
    first = night.build(fail_on=True)
    good = night.state()
    night.deliver(AFTER)
    for _ in range(2):  # the second time the refused tables are at hand, and judged again
        with pytest.raises(BrokenThresholdsError) as caught:
            night.build(fail_on=True)
        assert caught.value.lines == ["events: the number of rows is 4, below min_rows = 9"]
        assert "tables-refused" in str(caught.value)
        assert night.state() == good
        assert night.history() == 1
        page = (tmp_path / "work/reports/quality.html").read_text()
        assert "refused" in page
        assert "below min_rows" in page
        assert "(warning only)" in page  # max_psi is broken too
        assert (tmp_path / "work/tables-refused/quarantine/events.parquet").exists()
    # the next delivery is compared with the last good one, and clears what was refused
    night.deliver(BEFORE | {"products.csv": PRODUCTS + "p5,A\n"})
    better = night.build(fail_on=True)
    assert better.drift.fingerprint == first.fingerprint
    assert not (tmp_path / "work/tables-refused").exists()
    assert night.history() == 2


def test_a_refused_build_may_be_accepted_without_cleaning_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    night = _Nightly(tmp_path, min_rows={"events": 9})
    night.deliver(BEFORE)
    night.build(fail_on=True)
    night.deliver(AFTER)
    with pytest.raises(BrokenThresholdsError):
        night.build(fail_on=True)
    monkeypatch.setattr("ingest.build._build", None)  # whoever cleans again fails
    accepted = night.build(fail_on=False)
    assert [b.key for b in accepted.broken] == ["events"]
    assert not accepted.refused
    assert accepted.tables["events"].loaded == 4
    assert not (tmp_path / "work/tables-refused").exists()
    assert night.history() == 2
    # it stands now, but asked again with --fail-on it still does not hold, until the threshold is lowered
    with pytest.raises(BrokenThresholdsError):
        night.build(fail_on=True)
    assert night.build(fail_on=True, min_rows={"events": 4}).broken == ()


def test_a_delivery_that_is_taken_back(tmp_path: Path) -> None:
    night = _Nightly(tmp_path, min_rows={"events": 9})
    night.deliver(BEFORE)
    night.build(fail_on=True)
    night.deliver(AFTER)
    with pytest.raises(BrokenThresholdsError):
        night.build(fail_on=True)
    night.deliver(BEFORE)
    assert night.build(fail_on=True).reused
    assert not (tmp_path / "work/tables-refused").exists()
    assert "refused" not in (tmp_path / "work/reports/quality.html").read_text().partition("</style>")[2]
    assert night.history() == 1


def test_the_first_build_may_be_refused_too(tmp_path: Path) -> None:
    night = _Nightly(tmp_path, min_rows={"events": 100})
    night.deliver(BEFORE)
    with pytest.raises(BrokenThresholdsError):
        night.build(fail_on=True)
    assert not (tmp_path / "work/tables").exists()
    assert night.history() == 0
