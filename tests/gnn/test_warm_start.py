from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gnn.config import GnnConfig
from gnn.errors import GnnError
from gnn.measure.lists import quality
from gnn.model.align import make_split
from gnn.model.bundle import Bundle
from gnn.model.parts import open_workshop
from gnn.model.training import train
from gnn.model.warm import starts
from gnn.network.recommender import some_users
from gnn.protocol.recommender import Given
from ingest.config_dict import from_dict
from ingest.progress import SilentProgress
from kg.snapshot import EdgeTable, IdMap, NodeTable, Snapshot

DAY = 86_400_000_000
BOUGHT = ("User", "PURCHASED", "Product")


def settings(method: str = "time", **more: Any) -> GnnConfig:
    small = {"threads": 1, "device": "cpu", "epochs": 12, "lr": 0.01}
    given = {
        "split": {"method": method},
        "model": {"user": "set", "dim": 16},
        "train": small,
        "eval": {"bootstrap": 50},
    }
    return from_dict(GnnConfig, {**given, **more}, "test")


def up_to(shop: Snapshot, day: float) -> Snapshot:
    """The shop as it was before a day, without the users who had not come by then."""
    table = shop.edges[BOUGHT]
    early = np.asarray(table.at()) < day * DAY
    src, dst = np.asarray(table.src)[early], np.asarray(table.dst)[early]
    kept = np.unique(src)
    ids = shop.nodes["User"].ids.ids.to_pylist()
    users = NodeTable(IdMap.of([ids[n] for n in kept]), pa.table({"_": pa.nulls(len(kept))}).drop_columns(["_"]))
    bought = EdgeTable(np.searchsorted(kept, src), dst, table.columns.filter(pa.array(early)))
    return Snapshot({**shop.nodes, "User": users}, {**shop.edges, BOUGHT: bought})


def late_comers(shop: Snapshot) -> Snapshot:
    """The shop where the first five users came on the fifth day, and the last five have not come since the fourth."""
    table = shop.edges[BOUGHT]
    at, users = np.asarray(table.at()), np.asarray(table.src)
    kept = ~((users < 5) & (at < 5 * DAY)) & ~((users >= 55) & (at >= 4 * DAY))
    columns = table.columns.filter(pa.array(kept))
    return Snapshot(shop.nodes, {**shop.edges, BOUGHT: EdgeTable(users[kept], np.asarray(table.dst)[kept], columns)})


def test_a_warm_start_learns_from_those_who_changed_and_as_many_others(shop: Snapshot, tmp_path: Path) -> None:
    shop = late_comers(shop)
    train(up_to(shop, 6), None, settings(), tmp_path / "eval", SilentProgress())
    config = settings(train={"threads": 1, "device": "cpu", "epochs": 3, "lr": 0.01})
    split = make_split(shop, config)
    before = Bundle.load(tmp_path / "eval").record["reach"]["weights"]
    assert before == "1970-01-05T00:00:00+00:00"  # days 0 to 5 are known, the fifth is what the model was tested on
    found = starts(tmp_path / "eval", shop, config, split)["network"].changed
    np.testing.assert_array_equal(found, np.arange(60) < 55)
    said = train(shop, None, config, tmp_path / "eval", SilentProgress(), warm=tmp_path / "eval")
    assert said["parts"]["network"]["changed_users"] == 55
    again = train(shop, None, config, tmp_path / "b", SilentProgress())
    warm, cold = (run["parts"]["network"]["validation"][0] for run in (said, again))
    assert warm > cold  # its first epoch begins where the other model ended


def test_after_no_change_nothing_is_learned_and_nothing_lost(shop: Snapshot, tmp_path: Path) -> None:
    config = settings("column")
    train(shop, None, config, tmp_path / "eval", SilentProgress(), model="network")
    before = Bundle.load(tmp_path / "eval").parts["network"]
    said = train(shop, None, config, tmp_path / "warm", SilentProgress(), model="network", warm=tmp_path / "eval")
    assert said["parts"]["network"]["changed_users"] == 0
    after = Bundle.load(tmp_path / "warm").parts["network"]
    for name, value in before.state().items():
        np.testing.assert_array_equal(value, after.state()[name], err_msg=name)


def test_a_refit_goes_on_from_the_warm_model(shop: Snapshot, tmp_path: Path) -> None:
    config = settings()
    train(up_to(shop, 9), None, config, tmp_path / "eval", SilentProgress(), model="network")
    place = tmp_path / "eval"
    train(shop, None, config, place, SilentProgress(), model="network", refit=True, warm=place)
    opened, split = open_workshop(Given(shop), config, SilentProgress())
    live, fresh = Bundle.load(tmp_path / "live").parts["network"], Bundle.load(place).parts["network"]
    assert live.facts["changed_users"] == len(np.unique(split.valid.users))
    assert quality(opened.tasks[0], live, 10, 1_000_000) > 0.5 * quality(opened.tasks[0], fresh, 10, 1_000_000)


def test_what_a_warm_start_refuses(shop: Snapshot, tmp_path: Path) -> None:
    train(shop, None, settings(), tmp_path / "eval", SilentProgress(), model="network")

    def refused(config: GnnConfig, snapshot: Snapshot = shop) -> str:
        with pytest.raises(GnnError) as caught:
            train(snapshot, None, config, tmp_path / "no", SilentProgress(), model="network", warm=tmp_path / "eval")
        return str(caught.value)

    earlier = settings(split={"method": "time", "valid_from": "1970-01-05", "test_from": "1970-01-08"})
    assert "the model before has seen events up to" in refused(earlier)
    assert "trained on a time split, not column" in refused(settings("column"))
    assert "other settings model.*" in refused(settings(model={"user": "set", "dim": 8}))
    with pytest.raises(GnnError, match="there is no model"):
        train(shop, None, settings(), tmp_path / "no", SilentProgress(), warm=tmp_path / "none")


def test_a_sequence_network_goes_on_too(shop: Snapshot, tmp_path: Path) -> None:
    shop = late_comers(shop)
    config = settings(model={"user": "sequence", "dim": 16, "sequence": {"lr": 0.01, "batch": 8}})
    train(up_to(shop, 6), None, config, tmp_path / "eval", SilentProgress(), model="network")
    short = replace(config, train=replace(config.train, epochs=2))
    warm = train(shop, None, short, tmp_path / "w", SilentProgress(), model="network", warm=tmp_path / "eval")
    cold = train(shop, None, short, tmp_path / "c", SilentProgress(), model="network")
    first = [run["parts"]["network"]["losses"][0] for run in (warm, cold)]
    assert first[0] < first[1]


def test_others_are_drawn_once_and_by_the_seed(shop: Snapshot) -> None:
    history = make_split(shop, settings()).history("valid")
    changed = np.zeros(60, np.bool_)
    changed[[3, 4, 5]] = True
    chosen = some_users(changed, history, 0)
    assert chosen[[3, 4, 5]].all()
    assert chosen.sum() == 6
    np.testing.assert_array_equal(chosen, some_users(changed, history, 0))
    assert some_users(np.ones(60, np.bool_), history, 0).all()
