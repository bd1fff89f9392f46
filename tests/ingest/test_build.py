"""What a build leaves behind: reports, the manifest, reuse, and nothing half-written."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import ingest.table_run
from ingest.build import build_tables
from ingest.errors import IngestError
from ingest.quality import QualityReport, TableQuality

Build = Callable[..., Any]
FILES = {
    "products.csv": "product_id,title\np1,<b>Tea</b>\nP1,Coffee\n",
    "events.csv": "user_id,product_id,event,time\nu1,p1,view,2024-01-02\n"
    "u1,<i>,view,2024-01-02\nu1,p1,view,2024-07-01\n",
}


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [v or "" for k, v in attrs if k in ("src", "href")]
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_quality_json_and_page(build: Build) -> None:
    built = build(FILES)
    quality = built.quality()
    assert quality["as_of"] == "2024-06-01T00:00:00+00:00"
    assert quality["source"] == str(built.root / "source")
    counts = ("rows_in", "loaded", "merged", "quarantined", "created")
    assert {n: [t[k] for k in counts] for n, t in quality["tables"].items()} == {
        "products": [2, 2, 0, 0, 0], "events": [3, 1, 0, 2, 0], "users": [0, 0, 0, 0, 1],
    }  # fmt: skip
    assert quality["case_variants"] == {"products.product_id": [["P1", "p1"]]}
    assert QualityReport.from_dict(quality) == built.report
    page = _Page()
    page.feed((built.root / "work/reports/quality.html").read_text("utf-8"))
    assert page.open == []
    assert all(link.startswith("#") for link in page.links)  # self-contained
    for words in ("dangling_product", "<i>", "time_too_late", "1 created", "P1 / p1"):
        assert words in page.text


def test_an_unchanged_source_is_not_built_again(build: Build) -> None:
    first = build(FILES)
    before = {p: p.stat().st_mtime_ns for p in (first.root / "work/tables").rglob("*")}
    os.utime(first.root / "source/events.csv")  # touched, but the content is the same
    again = build(FILES)
    assert again.report == replace(first.report, reused=True)
    assert {p: p.stat().st_mtime_ns for p in (first.root / "work/tables").rglob("*")} == before


@pytest.mark.parametrize(
    "change",
    [
        {"files": {**FILES, "events.csv": FILES["events.csv"].replace("u1", "u2")}},
        {"files": {**FILES, "users.csv": "user_id\nu7\n"}},
        {"files": {**FILES, "mapping.toml": 'dangling = "create"\n'}},
        {"files": FILES, "dangling": "create"},
        {"files": FILES, "as_of": datetime(2024, 6, 2, tzinfo=UTC)},
        {"files": FILES, "as_of": None},  # a row was too late: it need not be any more
    ],
)
def test_a_change_is_built(build: Build, change: dict[str, Any]) -> None:
    build(FILES)
    assert not build(change.pop("files"), **change).report.reused


def test_a_workspace_within_the_source_is_no_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(FILES["events.csv"])
    work = tmp_path / "shopgraph-workspace"
    first = build_tables(str(tmp_path), work / "tables", work / "reports", as_of=datetime(2024, 6, 1))
    again = build_tables(str(tmp_path), work / "tables", work / "reports", as_of=datetime(2024, 6, 1, tzinfo=UTC))
    assert (first.tables["events"].rows_in, first.ignored_files) == (3, [])
    assert again.reused


def test_a_lost_clean_file_is_built_again(build: Build) -> None:
    first = build(FILES)
    (first.root / "work/tables/events.parquet").unlink()
    assert not build(FILES).report.reused
    assert len(first.rows("events")) == 1


def test_without_late_rows_the_stored_date_stands(build: Build) -> None:
    files = {"events.csv": "user_id,product_id,event,time\nu1,p1,view,2024-01-02\n"}
    build(files)
    report = build(files, as_of=None).report
    assert (report.reused, report.as_of) == (True, "2024-06-01T00:00:00+00:00")


def test_the_default_date_is_now(build: Build) -> None:
    now = datetime.now(UTC)
    rows = [f"u1,p1,view,{(now + timedelta(hours=h)).isoformat()}" for h in (23, 25)]
    built = build({"events.csv": "user_id,product_id,event,time\n" + "\n".join(rows) + "\n"}, as_of=None)
    assert [r["line"] for r in built.quarantine("events")] == [3]
    assert now <= datetime.fromisoformat(built.report.as_of) <= datetime.now(UTC)


def test_a_failed_build_leaves_the_old_tables(build: Build) -> None:
    first = build(FILES)
    tables = first.root / "work/tables"
    before = {p: p.read_bytes() for p in tables.rglob("*") if p.is_file()}
    with pytest.raises(IngestError):
        build({"products.csv": "title\nx\n"})
    assert {p: p.read_bytes() for p in tables.rglob("*") if p.is_file()} == before
    assert sorted(p.name for p in tables.parent.iterdir()) == ["reports", "tables"]


def test_a_killed_build_leaves_nothing_that_is_taken_for_whole(
    build: Build, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def stop(*args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ingest.table_run.TableRun, "complete", stop)
        with pytest.raises(KeyboardInterrupt):
            build(FILES)
    assert not (tmp_path / "work/tables").exists()
    (tmp_path / "work/.tables-left").mkdir()  # what a kill that cannot be caught leaves
    assert len(build(FILES).rows("events")) == 1
    assert not (tmp_path / "work/.tables-left").exists()


def test_folders_that_are_not_ours_are_left_alone(build: Build, tmp_path: Path) -> None:
    mine = tmp_path / "work/tables"
    mine.mkdir(parents=True)
    (mine / "thesis.txt").write_text("three years of work")
    with pytest.raises(IngestError, match="not of an earlier build"):
        build(FILES)
    assert (mine / "thesis.txt").exists()


def test_tables_never_overwrite_their_source(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(FILES["events.csv"])
    with pytest.raises(IngestError, match="overwrite the source"):
        build_tables(str(tmp_path), tmp_path, tmp_path / "reports")


def test_a_workspace_that_cannot_be_written(build: Build, tmp_path: Path) -> None:
    (tmp_path / "work").write_text("a file in the way")
    with pytest.raises(IngestError, match="cannot be written"):
        build(FILES)


def test_the_result_does_not_depend_on_threads(build: Build) -> None:
    first = build(FILES)
    tables = {n: first.arrow(n) for n in ("products", "events", "users")}
    (first.root / "work/tables/manifest.json").write_text("{}")  # as if of another format: built again
    again = build(FILES, threads=1)
    assert not again.report.reused
    assert all(again.arrow(n).equals(t) for n, t in tables.items())


def test_rows_that_are_unaccounted_for_stop_the_build() -> None:
    report = QualityReport("s", "2024-01-01", "f", {"events": TableQuality(rows_in=3, loaded=1, merged=1)})
    with pytest.raises(IngestError, match="unaccounted"):
        report.check()


@pytest.mark.parametrize("setting", [{"dangling": "drop"}, {"memory_limit": "much"}, {"threads": 0}])
def test_settings_that_mean_nothing(build: Build, setting: dict[str, Any]) -> None:
    with pytest.raises(IngestError, match=next(iter(setting))):
        build(FILES, **setting)
