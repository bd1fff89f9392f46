"""The page: well-formed, self-contained, and deaf to hostile values."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.monitor.profile import Histogram
from ingest.monitor.thresholds import QualitySettings
from ingest.page.page import write_page
from ingest.page.svg import Stream, figure, flow, histogram, line, percent

Build = Callable[..., Any]
HOSTILE = "'><script>alert(1)</script><img src=x onerror=alert(2)>\""
VOID = {"meta"}


class Page(HTMLParser):
    """Checks that every tag is closed, and collects tags, attributes and text."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(content)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def _page(built: Any) -> Page:
    return Page((built.root / "work/reports/quality.html").read_text("utf-8"))


def _hostile_files(word: str) -> dict[str, str]:
    quoted = '"' + word.replace('"', '""') + '"'
    rows = "".join(f"u{i},p1,view,2024-01-0{i % 5 + 1},{(quoted, 'web')[i % 2]},{i}\n" for i in range(40))
    return {
        "products.csv": f"product_id,brand,{quoted}\np1,{quoted},{quoted}\np2,{quoted},x\np3,A,{quoted}\n",
        "events.csv": f"user_id,product_id,event,time,channel,price\n{rows}u1,{quoted},view,,,1\nu1,p1,{quoted},,,1\n",
    }


def test_hostile_values_stay_text(build: Build) -> None:
    build(_hostile_files(HOSTILE))
    built = build(_hostile_files(HOSTILE.replace("1", "7")), quality=QualitySettings(min_rows={"events": 10_000}))
    page = _page(built)
    assert built.report.drift is not None
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "<script>alert(7)</script>" in page.text  # shown for what it is
    assert "below min_rows = 10,000" in page.text


def test_nothing_is_loaded_from_elsewhere(build: Build) -> None:
    built = build(_hostile_files("web & <shop>"))
    content = (built.root / "work/reports/quality.html").read_text("utf-8")
    page = Page(content)
    assert {"script", "link", "iframe", "object", "image", "use"}.isdisjoint(page.tags)
    assert all(value.startswith("#") for name, value in page.attributes if name in ("src", "href"))
    assert not re.search(r"https?:|url\(|@import", content)
    assert "prefers-color-scheme: dark" in content
    assert ("name", "viewport") in page.attributes
    anchors = {value for name, value in page.attributes if name == "id"}
    assert {value[1:] for name, value in page.attributes if name == "href"} <= anchors


def test_the_page_shows_flow_distribution_volume_and_change(build: Build) -> None:
    build(_hostile_files("app"))
    changed = _hostile_files("till")
    built = build(changed | {"events.csv": changed["events.csv"].replace("2024-01-05", "2024-01-09")})
    page = _page(built)
    classes = [value for name, value in page.attributes if name == "class"]
    assert {"flow", "hist", "line"} <= set(classes)
    for words in (
        "42 rows in", "dangling_product: 1", "events.csv line 42", "Rows per day by time", "By channel",
        "No thresholds are set", "new in channel", "till", "4 new days",
    ):  # fmt: skip
        assert words in " ".join(page.text.split()), words


def test_a_report_without_a_profile_is_a_page_too(build: Build, tmp_path: Path) -> None:
    report = replace(build(_hostile_files("x")).report, profile={}, drift=None)
    write_page(report, tmp_path / "old.html")
    assert "events" in Page((tmp_path / "old.html").read_text("utf-8")).text


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=400))
def test_lines_are_well_formed(values: list[int]) -> None:
    page = Page(line(values, HOSTILE))
    points = dict(page.attributes)["points"].split()
    assert all(0 <= float(p.split(",")[1]) <= 100 for p in points)


def test_a_histogram_by_hand() -> None:
    page = Page(histogram(Histogram((1.0, 2.0), (4, 2, 0)), 0.0, 3.0))
    assert [v for n, v in page.attributes if n == "height"] == ["40", "40.00", "20.00", "0.00"]
    assert page.text == "1: 4 rows1 to 2: 2 rows2 to 3: 0 rows"


def test_flow_bands_are_as_wide_as_their_share() -> None:
    page = Page(flow(100, 0, [Stream("kept", 75, "loaded"), Stream(HOSTILE, 25, "quarantined")]))
    heights = [float(v) for n, v in page.attributes if n == "height"]
    assert heights == [100.0, 75.0, 25.0]  # the source, then its ends
    assert "script" not in page.tags
    assert f"{HOSTILE}: 25 (25.00 %)" in page.text


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0"), (3.0, "3"), (0.12344, "0.1234"), (1234.5, "1,234"), (1e6, "1,000,000"), (-2.5, "-2.5")],
)
def test_figures(value: float, shown: str) -> None:
    assert figure(value) == shown


@pytest.mark.parametrize(
    ("share", "shown"), [(0.0, "0 %"), (1.0, "100 %"), (0.5, "50.00 %"), (0.999999, "99.99 %"), (1e-7, "0.01 %")]
)
def test_only_what_is_whole_is_shown_as_whole(share: float, shown: str) -> None:
    assert percent(share) == shown
