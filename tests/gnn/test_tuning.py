"""The search for settings: what it may change, what it reads, and that it can be stopped at any moment."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gnn.config import GnnConfig
from gnn.errors import GnnError
from gnn.model.align import make_split
from gnn.model.catalogue import CATALOGUE, NETWORK, make
from gnn.model.parts import Workshop
from gnn.protocol.recommender import Given
from gnn.protocol.tasks import Task, make_tasks, recommendable
from gnn.recommenders.ease import Ease
from gnn.recommenders.itemknn import ItemKNN
from gnn.tuning import journal, study
from gnn.tuning import trial as one_trial
from gnn.tuning.picture import draw
from gnn.tuning.result import TuningResult
from gnn.tuning.spaces import SPACES, Setting, applied, choice, combinations, current, real, space_for, whole
from gnn.tuning.study import tune
from ingest.config_dict import with_setting
from ingest.progress import SilentProgress, Station
from kg.snapshot import EdgeTable, Snapshot

PURCHASED = ("User", "PURCHASED", "Product")


class Killed(BaseException):
    """The process ends."""


@dataclass
class Fits:
    """Counts the fits of a class, and ends the process at a given one.

    Attributes:
        settings: configuration of each fit.
        deadly: number of the fit that does not end; 0: none.
    """

    settings: list[Any]
    deadly: int = 0


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> Fits:
    counted, fit = Fits([]), ItemKNN.fit

    def counting(self: ItemKNN, *words: Any, **named: Any) -> None:
        counted.settings.append(self.config)
        if len(counted.settings) == counted.deadly:
            raise Killed
        fit(self, *words, **named)

    monkeypatch.setattr(ItemKNN, "fit", counting)
    return counted


class DeadlyProgress(SilentProgress):
    """Ends the process when so many trials are on record."""

    def __init__(self, trials: int) -> None:
        self.left = trials

    @contextmanager
    def station(self, title: str, total: int | None = None, unit: str = "") -> Iterator[Station]:
        with super().station(title, total, unit) as station:
            yield self if unit == "trials" else station

    def note(self, text: str) -> None:
        pass

    def advance(self, amount: int = 1) -> None:
        self.left -= amount
        if not self.left:
            raise Killed


def search(shop: Snapshot, config: GnnConfig, folder: Path, trials: int, model: str = "item-knn", **more: Any) -> Any:
    minutes, progress = more.pop("minutes", None), more.pop("progress", SilentProgress())
    return tune(Given(shop, more.pop("vectors", None)), config, model, trials, minutes, folder, progress, **more)


def outcomes(result: TuningResult) -> list[Any]:
    """All that must not depend on when and how fast a search ran."""
    return [(t.number, t.state, t.value, t.settings, t.epochs, t.reason) for t in result.trials]


def test_every_recommender_with_settings_has_a_space() -> None:
    models = {name for name in CATALOGUE if hasattr(GnnConfig().models, name.replace("-", "_"))}
    assert {*models, NETWORK} == set(SPACES) & set(CATALOGUE)


@pytest.mark.parametrize("setting", [s for space in SPACES.values() for s in space], ids=lambda s: s.key)
def test_the_default_of_every_setting_lies_within_its_bounds(setting: Setting) -> None:
    assert setting.inside(setting.value(GnnConfig()))
    assert setting.key.split(".")[0] in ("models", "train", "model", "graph")  # split and eval are the question itself
    assert setting.around(setting.value(GnnConfig())) == setting
    edges = setting.choices or (setting.low, setting.high)
    for edge in edges:
        value = setting.tried(edge if setting.kind != "whole" else int(edge))
        config = applied(GnnConfig(), {setting.key: value})
        assert current(config, [setting]) == {setting.key: value}


def test_bounds_make_room_for_the_current_value() -> None:
    assert real("x", 0.1, 1.0).around(3.0) == real("x", 0.1, 3.0)
    assert real("x", 0.1, 1.0, log=True).around(0.0) == real("x", 0.1, 1.0, log=True)  # zero has no logarithm
    assert real("x", 0.1, 1.0, log=True).point(0.0, {}) == 0.1
    assert whole("x", 2, 4).around(1) == whole("x", 1, 4)
    assert choice("x", "a", "b").around("c") == choice("x", "a", "b", "c")
    several = real("x", 5.0, 50.0, log=True, settled="best")
    assert several.around((1.0, 70.0)) == real("x", 1.0, 70.0, log=True, settled="best")
    assert several.point((10.0, 20.0, 30.0), {"best": 20.0}) == 20.0
    assert several.tried(12.3456) == [12.3]


def test_combinations() -> None:
    assert combinations([whole("x", 2, 4), choice("y", "a", "b")]) == 6
    assert combinations([whole("x", 2, 4), real("y", 0, 1)]) == np.inf


def test_settings_of_what_the_graph_lacks_are_left_out(shop: Snapshot, config: GnnConfig) -> None:
    history = make_split(shop, config).history("valid")
    keys = [s.key for s in space_for("item-knn", config, shop, history)]
    assert keys == ["models.item_knn.shrink", "models.item_knn.neighbours", "models.item_knn.weighting"]
    assert [s.key for s in space_for("recent-popularity", config, shop, history)] == [
        "models.recent_popularity.half_life_days"
    ]
    viewed = replace(history, side={"view": history})
    assert "models.item_knn.side.view" in [s.key for s in space_for("item-knn", config, shop, viewed)]
    with pytest.raises(GnnError, match="holds none of: click, view, cart, wishlist"):
        space_for("own-repeats", config, shop, history)


def test_the_first_trial_is_what_is_there_and_the_winner_is_never_worse(
    shop: Snapshot, config: GnnConfig, tmp_path: Path
) -> None:
    found = search(shop, config, tmp_path, 12)
    assert found.trials[0].settings == found.current == current(config, SPACES["item-knn"][:3])
    split = make_split(shop, config)
    tasks = make_tasks(split, "valid", recommendable(shop), config.split.min_buyers)
    workshop = Workshop(Given(shop), config, tasks, SilentProgress())
    for settings, value in ((found.current, found.current_value), (found.best, found.best_value)):
        part = make("item-knn", applied(config, settings), None)
        part.fit(split.history("valid"))
        assert workshop.quality(part, tasks[0]) == pytest.approx(value, rel=1e-12)
    assert found.best_value == max(t.value for t in found.trials) >= found.current_value
    assert found.gain.mean == pytest.approx(found.best_value - found.current_value, abs=1e-12)
    assert found.gain.low <= found.gain.mean <= found.gain.high
    assert len({str(t.settings) for t in found.trials}) == 12
    assert sum(found.importance.values()) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("where", ["between trials", "in a fit"])
def test_a_killed_search_goes_on_as_if_it_had_not_been(
    shop: Snapshot, config: GnnConfig, tmp_path: Path, fits: Fits, where: str
) -> None:
    whole_search = search(shop, config, tmp_path / "whole", 10)  # the last two are not drawn at random
    assert whole_search.fits == len(fits.settings) == 10
    fits.settings.clear()
    fits.deadly = 8 if where == "in a fit" else 0
    progress = DeadlyProgress(7) if where == "between trials" else SilentProgress()
    with pytest.raises(Killed):
        search(shop, config, tmp_path / "killed", 10, progress=progress)
    begun = len(fits.settings)
    fits.deadly = 0
    resumed = search(shop, config, tmp_path / "killed", 10)
    assert begun == (8 if where == "in a fit" else 7)
    assert resumed.fits == len(fits.settings) - begun == 3
    assert outcomes(resumed) == outcomes(whole_search)
    assert (resumed.best, resumed.gain) == (whole_search.best, whole_search.gain)
    again = search(shop, config, tmp_path / "killed", 10)
    assert again.fits == 0
    assert outcomes(again) == outcomes(whole_search)


def test_half_a_line_and_a_lock_left_behind_do_no_harm(shop: Snapshot, config: GnnConfig, tmp_path: Path) -> None:
    search(shop, config, tmp_path / "cut", 3)
    (path,) = (tmp_path / "cut").glob("*.journal")
    with path.open("ab") as file:
        file.write(b'{"op_code":4,"wor')
    Path(f"{path}.lock").touch()
    found = search(shop, config, tmp_path / "cut", 5)
    assert found.fits == 2
    assert outcomes(found) == outcomes(search(shop, config, tmp_path / "whole", 5))


def test_graph_text_fixed_settings_space_and_seed_name_a_search(
    shop: Snapshot, build_shop: Callable[..., Snapshot], config: GnnConfig, text: np.ndarray, tmp_path: Path
) -> None:
    space = SPACES["item-knn"][:2]
    paths = [
        journal.study_path(tmp_path, Given(graph, vectors), with_setting(config, key, value, ""), model, part, seed)
        for graph, vectors, key, value, model, part, seed in [
            (shop, None, "train.seed", "0", "item-knn", space, 0),
            (build_shop(seed=8), None, "train.seed", "0", "item-knn", space, 0),
            (shop, text, "train.seed", "0", "item-knn", space, 0),
            (shop, text + 1, "train.seed", "0", "item-knn", space, 0),
            (shop, None, "train.seed", "1", "item-knn", space, 0),
            (shop, None, "models.item_knn.weighting", "count", "item-knn", space, 0),
            (shop, None, "train.seed", "0", "item-knn", space[:1], 0),
            (shop, None, "train.seed", "0", "item-knn", space, 1),
        ]
    ]
    assert len(set(paths)) == len(paths)
    for key, value in (("models.item_knn.shrink", "77"), ("rerank.mmr", "0.9"), ("models.ease.weighting", "count")):
        other = with_setting(config, key, value, "")
        assert journal.study_path(tmp_path, Given(shop), other, "item-knn", space, 0) == paths[0]


def test_the_winner_written_down_the_same_search_fits_nothing(
    shop: Snapshot, config: GnnConfig, tmp_path: Path, fits: Fits
) -> None:
    found = search(shop, config, tmp_path, 8)
    assert found.best_value > found.current_value
    fits.settings.clear()
    again = search(shop, applied(config, found.best), tmp_path, 8)
    assert not fits.settings
    assert again.current == again.best == found.best
    assert not again.changed
    assert again.gain.mean == 0
    elsewhere = search(shop, with_setting(config, "models.item_knn.shrink", "555", ""), tmp_path, 8)
    assert [c.shrink for c in fits.settings] == [555]
    assert elsewhere.trials[-1].settings == elsewhere.current
    assert elsewhere.best == found.best


def test_a_small_space_is_tried_once_each(shop: Snapshot, config: GnnConfig, tmp_path: Path, fits: Fits) -> None:
    found = search(shop, config, tmp_path, 30, only=["models.item_knn.weighting"])
    assert sorted(c.weighting for c in fits.settings) == ["binary", "count", "recency"]
    assert [t.points for t in found.trials] == [t.settings for t in found.trials]
    assert "nothing new" in found.notes[0]


def test_the_search_takes_a_penalty_at_a_time_beside_the_grid_that_was_there(
    shop: Snapshot, config: GnnConfig, tmp_path: Path
) -> None:
    found = search(shop, config, tmp_path, 3, "ease")
    first, *others = (t.settings["models.ease.penalties"] for t in found.trials)
    assert first == list(config.models.ease.penalties)
    assert [len(penalties) for penalties in others] == [1, 1]
    part = Ease(config.models.ease)
    split = make_split(shop, config)
    tasks = make_tasks(split, "valid", recommendable(shop), config.split.min_buyers)
    part.fit(split.history("valid"), Workshop(Given(shop), config, tasks, SilentProgress()).work("ease", part))
    assert found.trials[0].points["models.ease.penalties"] == part.penalty
    # the sampler was told the same
    assert found.trials[0].value == pytest.approx(
        search(shop, applied(config, {"models.ease.penalties": [part.penalty]}), tmp_path, 1, "ease").current_value
    )


def permuted(shop: Snapshot) -> Snapshot:
    """The shop with the products of its test events dealt out anew."""
    table = shop.edges[PURCHASED]
    at = np.flatnonzero(np.asarray(table.columns["split"].to_pylist()) == "test")
    products = table.dst.copy()
    products[at] = np.random.default_rng(0).permutation(products[at])
    order = np.lexsort((np.arange(len(products)), products, table.src))
    columns = table.columns.take(pa.array(order))
    assert (products != table.dst).sum() > len(at) / 2
    return Snapshot(shop.nodes, shop.edges | {PURCHASED: EdgeTable(table.src[order], products[order], columns)})


@pytest.mark.parametrize(("model", "trials"), [("item-knn", 11), ("network", 4)])
def test_no_test_event_is_read(shop: Snapshot, config: GnnConfig, tmp_path: Path, model: str, trials: int) -> None:
    real_one = search(shop, config, tmp_path / "real", trials, model)
    other = search(permuted(shop), config, tmp_path / "other", trials, model)
    assert outcomes(real_one) == outcomes(other)
    assert real_one.gain == other.gain


class Epochs(ItemKNN):
    """A recommender of six epochs that is as good as its setting says from the first one on."""

    trained = True

    def fit(self, history: Any, work: Any = None) -> None:
        super().fit(history)
        for _ in range(6):
            work.judge(self)


@dataclass
class Clock:
    """Seconds, of which every epoch takes sixty."""

    now: float = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """item-knn becomes a recommender of epochs whose quality is a thousandth of its neighbours."""
    clock = Clock()

    def quality(shop: Workshop, part: Epochs, task: Task) -> float:
        clock.now += 60
        return part.config.neighbours / 1000

    def per_user(task: Task, part: Epochs, k: int, cells: int) -> np.ndarray:
        return np.full(len(task.users), part.config.neighbours / 1000)

    entry = replace(CATALOGUE["item-knn"], make=lambda c, _: Epochs(c.models.item_knn))
    monkeypatch.setitem(CATALOGUE, "item-knn", entry)
    monkeypatch.setattr(Workshop, "quality", quality)
    monkeypatch.setattr(one_trial, "ndcg_per_user", per_user)
    monkeypatch.setattr(study, "time", clock)
    return clock


@pytest.mark.usefixtures("clock")
def test_a_trial_below_the_median_is_stopped_at_the_fourth_epoch(
    shop: Snapshot, config: GnnConfig, tmp_path: Path
) -> None:
    found = search(shop, config, tmp_path, 15, only=["models.item_knn.neighbours"])
    done: list[float] = []
    for t in found.trials:
        value = t.settings["models.item_knn.neighbours"] / 1000
        below = len(done) >= journal.PRUNE_TRIALS and value < np.median(done)
        assert (t.state, t.epochs) == (("pruned", 4) if below else ("done", 6))
        done += [] if below else [value]
    assert "pruned" in [t.state for t in found.trials]
    assert found.best_value == pytest.approx(max(done))


@pytest.mark.usefixtures("clock")
def test_when_the_time_is_over_epochs_stop_and_the_trial_is_repeated(
    shop: Snapshot, config: GnnConfig, tmp_path: Path
) -> None:
    whole_search = search(shop, config, tmp_path / "whole", 3)
    assert [t.epochs for t in whole_search.trials] == [6, 6, 6]
    cut = search(shop, config, tmp_path / "cut", 3, minutes=1.5)
    assert outcomes(cut) == outcomes(whole_search)[:1]  # what was there is tried to its end, and nothing else
    assert not cut.notes
    begun = search(shop, config, tmp_path / "cut", 3, minutes=2.5)
    assert begun.fits == 1
    assert outcomes(begun) == outcomes(cut)
    assert begun.notes == ("the time was over in the middle of a trial; another run begins with it",)
    resumed = search(shop, config, tmp_path / "cut", 3, minutes=13)
    assert resumed.fits == 2
    assert outcomes(resumed) == outcomes(whole_search)


def test_what_cannot_be_fitted_fails_with_its_reason(
    shop: Snapshot, config: GnnConfig, text: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = Ease.fit

    def small(self: Ease, *words: Any) -> None:
        if self.config.weighting == "count":
            raise GnnError("counts are too many", "here", "count less")
        if self.config.weighting == "recency":
            raise MemoryError
        fit(self, *words)

    monkeypatch.setattr(Ease, "fit", small)
    found = search(shop, config, tmp_path, 3, "ease", only=["models.ease.weighting"])
    reasons = {t.settings["models.ease.weighting"]: (t.state, t.value, t.reason) for t in found.trials}
    assert reasons["count"] == ("failed", None, "counts are too many (here); count less")
    assert reasons["recency"] == ("failed", None, "there is not enough memory")
    assert reasons["binary"][0] == "done"
    assert [t.state for t in found.ranked] == ["done", "failed", "failed"]
    refused = with_setting(config, "models.memory_gb", "0", "")
    with pytest.raises(GnnError, match=r"none of 3 trials of ease could be fitted: .*"):
        search(shop, refused, tmp_path / "none", 3, "ease", only=["models.ease.weighting"])


@pytest.mark.parametrize(
    ("model", "more", "said"),
    [
        ("nothing", {}, "unknown model 'nothing'"),
        ("fused", {}, "fused has no settings of its own"),
        ("auto", {}, "auto has no settings of its own"),
        ("popularity", {}, "popularity has no settings"),
        ("ease", {"only": ["models.ease.penalty"]}, "'models.ease.penalty' is not searched for ease"),
        ("ease", {"trials": 0}, "0 trials"),
        ("ease", {"minutes": 0.0}, "0 minutes"),
        ("ease", {"minutes": float("nan")}, "nan minutes"),
    ],
)
def test_what_makes_no_sense_is_refused(
    shop: Snapshot, config: GnnConfig, tmp_path: Path, model: str, more: dict[str, Any], said: str
) -> None:
    with pytest.raises(GnnError, match=said):
        search(shop, config, tmp_path, model=model, **({"trials": 3} | more))
    assert not list(tmp_path.iterdir())


def test_table_and_picture(shop: Snapshot, config: GnnConfig, tmp_path: Path) -> None:
    found = search(shop, config, tmp_path, 10, "ease")
    rows = list(csv.DictReader(io.StringIO(found.to_csv())))
    assert [float(row["ndcg@20"]) for row in rows] == [t.value for t in found.trials]
    assert rows[0]["models.ease.penalties"] == str(list(config.models.ease.penalties))
    values = [t.value for t in found.ranked]
    assert values == sorted(values, reverse=True)
    draw(found, tmp_path / "a" / "picture.png")
    assert (tmp_path / "a" / "picture.png").read_bytes().startswith(b"\x89PNG")
    (tmp_path / "file").touch()
    with pytest.raises(GnnError, match="picture"):
        draw(found, tmp_path / "file" / "picture.png")
