"""lastfm-kg, against its raw files read line by line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from bench.data import lastfm_kg
from bench.data.contract_folder import opaque
from ingest.quality import QualityReport

pytestmark = pytest.mark.benchmark_data
Lines = Callable[..., Iterator[list[str]]]
Clean = Callable[[Path, str], pd.DataFrame]


@pytest.fixture(scope="module")
def lastfm(shared: Path, tmp_path_factory: pytest.TempPathFactory, built: Callable[[Path], QualityReport]) -> Path:
    folder = lastfm_kg.write(shared / "lastfm-kg", tmp_path_factory.mktemp("lastfm") / "contract")
    report = built(folder)
    loaded = {name: table.loaded for name, table in report.tables.items() if table.loaded}
    assert loaded == {"products": 3846, "events": 17_350 + 1_907 + 1_916, "triples": 15_518}
    assert report.tables["users"].created == 1872
    return folder


def test_the_splits_are_as_given(lastfm: Path, shared: Path, lines: Lines, clean: Clean) -> None:
    events = clean(lastfm, "events")
    names = {new: old for old, new in opaque((str(n) for n in range(20_000)), "artist-", "lastfm-kg").items()}
    for split in ("train", "valid", "test"):
        rows = lines(shared / "lastfm-kg" / f"lastfm.{split}.inter", "\t")
        given = Counter((user, item, int(float(plays))) for user, item, plays in rows)
        part = events[events["split"] == split]
        found = Counter(zip(part["user_id"], part["product_id"].map(names), part["plays"], strict=True))
        assert found == given
    assert set(events["event"]) == {"purchase"}


def test_triples_join_artists_where_the_link_says_so(lastfm: Path, shared: Path, lines: Lines, clean: Clean) -> None:
    link = {entity: item for item, entity in lines(shared / "lastfm-kg" / "lastfm.link", "\t")}
    given = list(lines(shared / "lastfm-kg" / "lastfm.kg", "\t"))
    triples, artists = clean(lastfm, "triples"), set(clean(lastfm, "products")["product_id"])
    assert triples["relation"].nunique() == 60
    assert triples["head"].isin(artists).all()
    assert triples["tail"].isin(artists).sum() == sum(tail in link for _, _, tail in given)
    head, relation, tail = given[0]
    of_head = opaque([link[head]], "artist-", "lastfm-kg")[link[head]]
    of_tail = opaque([tail], "entity-", "lastfm-kg")[tail]
    same = (triples["head"] == of_head) & (triples["tail"] == of_tail) & (triples["relation"] == relation)
    assert same.sum() == 1
    ends = pd.concat([triples["head"], triples["tail"]])
    assert ends[~ends.isin(artists)].nunique() == 9366 - 3846


def test_raw_numbers_ascend_with_the_first_listener_and_written_ids_do_not(
    lastfm: Path, shared: Path, lines: Lines, clean: Clean
) -> None:
    first: dict[int, int] = {}
    for split in ("train", "valid", "test"):
        for user, item, _ in lines(shared / "lastfm-kg" / f"lastfm.{split}.inter", "\t"):
            first[int(item)] = min(first.get(int(item), int(user)), int(user))
    raw = pd.Series(first).sort_index()
    assert (raw.diff().dropna() >= 0).mean() > 0.97  # the trap
    events = clean(lastfm, "events")
    written = events["user_id"].astype(int).groupby(events["product_id"]).min().sort_index()
    assert 0.45 < (written.diff().dropna() >= 0).mean() < 0.55
