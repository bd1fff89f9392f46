import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from gnn.config import GnnConfig
from gnn.errors import GnnError
from gnn.model.align import align, make_split
from gnn.model.bundle import Bundle, read_head
from gnn.model.training import train
from gnn.serving.recommend import Recommendations
from ingest.config_dict import with_setting
from ingest.progress import SilentProgress
from kg.snapshot import EdgeKey, EdgeTable, IdMap, NodeTable, Snapshot

Vectors = NDArray[np.float32]

FRESH = """
import sys, numpy as np
from pathlib import Path
from gnn.serving.recommend import Recommendations
from kg.snapshot import Snapshot
served = Recommendations.load(Path(sys.argv[1]), Snapshot.load(Path(sys.argv[2])))
np.save(sys.argv[3], served.scorer("exclude").scores(np.arange(60)))
"""


def item_ids(bundle: Bundle) -> NDArray[np.generic]:
    return bundle.parts["network"].state()["weight.item_ids"]


def test_a_fresh_process_gives_the_same_scores(bundle_folder: Path, shop: Snapshot, tmp_path: Path) -> None:
    shop.save(tmp_path / "snapshot")
    command = [
        sys.executable,
        "-W",
        "error",
        "-c",
        FRESH,
        bundle_folder,
        tmp_path / "snapshot",
        tmp_path / "scores.npy",
    ]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    here = Recommendations.load(bundle_folder, shop).scorer("exclude").scores(np.arange(60))
    np.testing.assert_array_equal(np.load(tmp_path / "scores.npy"), here)


def test_training_again_gives_the_same_bundle(
    bundle_folder: Path, shop: Snapshot, text: Vectors, config: GnnConfig, tmp_path: Path
) -> None:
    said = train(shop, text, config, tmp_path / "eval", SilentProgress())
    assert json.loads(json.dumps(said))["split"]["events"] == {"train": 600, "valid": 60, "test": 60}
    one, two = Bundle.load(bundle_folder), Bundle.load(tmp_path / "eval")
    assert one.fusion == two.fusion
    assert list(one.parts) == list(two.parts)
    for name, part in one.parts.items():
        arrays = two.parts[name].state()
        for key, value in part.state().items():
            assert np.array_equal(value, arrays[key]), (name, key)
    assert [p.name for p in tmp_path.iterdir()] == ["eval"]  # no checkpoint, nothing half-written


def test_the_refit_knows_valid_and_differs(bundle_folder: Path, shop: Snapshot) -> None:
    one, live = Bundle.load(bundle_folder), Bundle.load(bundle_folder.with_name("live"))
    assert (one.record["refit"], live.record["refit"]) == (False, True)
    np.testing.assert_array_equal(one.history.keys, live.history.keys)
    assert len(one.history) == 660
    assert not np.array_equal(item_ids(one), item_ids(live))


def test_propagating_anew_gives_the_saved_vectors(bundle_folder: Path, shop: Snapshot, text: Vectors) -> None:
    bundle = Bundle.load(bundle_folder)
    history = make_split(shop, bundle.config).history("test")
    other = Snapshot(shop.nodes, shop.edges)
    other.__dict__["fingerprint"] = "another"  # the long way round, over the same graph
    found = align(bundle, other, text, history)
    for name, part in bundle.parts.items():
        np.testing.assert_allclose(
            found[name].scores(np.arange(60)), part.scores(np.arange(60)), atol=2e-5, err_msg=name
        )


def grown(shop: Snapshot) -> Snapshot:
    """The shop with a new product before all others and a new user who bought two known products."""
    users, products = shop.nodes["User"], shop.nodes["Product"]
    row = {"title": "green tea new", "recommendable": True}
    columns = pa.concat_tables([pa.Table.from_pylist([row], products.columns.schema), products.columns])
    nodes = {**shop.nodes}
    nodes["Product"] = NodeTable(IdMap.of(["a new one", *products.ids.ids.to_pylist()]), columns)
    nodes["User"] = NodeTable(
        IdMap.of([*users.ids.ids.to_pylist(), "zoe"]), pa.table({"_": pa.nulls(61)}).drop_columns(["_"])
    )
    edges: dict[EdgeKey, EdgeTable] = {}
    for key, table in shop.edges.items():
        src = table.src + (key[0] == "Product")
        dst, attributes = table.dst + (key[2] == "Product"), table.columns
        if key[1] == "PURCHASED":
            extra = attributes.slice(0, 2).set_column(
                attributes.schema.get_field_index("split"), "split", [["train", "train"]]
            )
            src, dst = np.append(src, [60, 60]), np.append(dst, [2, 4])  # p001 and p003: the odd taste
            attributes = pa.concat_tables([attributes, extra])
        if key[1] in ("MADE_BY", "IN_CATEGORY"):
            src, dst = np.append(0, src), np.append(dst[1], dst)
            attributes = pa.concat_tables([attributes.slice(0, 1), attributes])
        edges[key] = EdgeTable(src, dst, attributes)
    return Snapshot(nodes, edges)


def test_another_graph_with_new_users_and_products(bundle_folder: Path, shop: Snapshot, text: Vectors) -> None:
    bigger = grown(shop)
    vectors = np.concatenate([text[1:2], text])
    served = Recommendations.load(bundle_folder, bigger, vectors)
    recs = served.recommend(["zoe", "u01"], 10)
    assert recs["user_id"].value_counts().to_dict() == {"zoe": 10, "u01": 10}
    odd = recs["product_id"].str[-3:].str.extract(r"(\d+)")[0].dropna().astype(int) % 2
    assert odd.mean() > 0.8
    cold = served.recommend(["u01"], 3, candidates="cold")
    assert "a new one" in set(cold["product_id"])
    with pytest.raises(GnnError, match="product vectors"):
        Recommendations.load(bundle_folder, bigger, None)


def test_a_graph_with_nothing_in_common(bundle_folder: Path, shop: Snapshot, text: Vectors) -> None:
    ids = IdMap.of([f"x{n:03d}" for n in range(80)])
    other = Snapshot({**shop.nodes, "Product": NodeTable(ids, shop.nodes["Product"].columns)}, shop.edges)
    with pytest.raises(GnnError, match="none of the graph's products"):
        Recommendations.load(bundle_folder, other, text)


def test_missing_older_and_damaged_bundles_say_so(bundle_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(GnnError, match="there is no model"):
        Bundle.load(tmp_path)
    copy = shutil.copytree(bundle_folder, tmp_path / "copy")
    (copy / "part-network.safetensors").write_bytes(b"half")
    with pytest.raises(GnnError, match="damaged"):
        Bundle.load(copy)
    head = read_head(bundle_folder)
    (copy / "bundle.json").write_text(json.dumps({**head, "format": 0}))
    with pytest.raises(GnnError, match=r"format 0.*train again"):
        Bundle.load(copy)


def test_a_stopped_run_resumes_and_other_settings_do_not(
    shop: Snapshot, text: Vectors, config: GnnConfig, tmp_path: Path, bundle_folder: Path
) -> None:
    class StoppedError(Exception):
        pass

    class Station:
        def __init__(self) -> None:
            self.notes = 0

        def advance(self, amount: int = 1) -> None:
            pass

        def note(self, text: str) -> None:
            self.notes += text.startswith("loss")
            if self.notes == 3:
                raise StoppedError

    class Progress(SilentProgress):
        def station(self, title: str, total: int | None = None, unit: str = ""):
            from contextlib import nullcontext

            return nullcontext(Station())

    with pytest.raises(StoppedError):
        train(shop, text, config, tmp_path / "eval", Progress())
    assert not (tmp_path / "eval").exists()
    with pytest.raises(GnnError, match="checkpoint is of other settings"):
        train(
            shop,
            text,
            with_setting(config, "train.lr", "0.1", "test"),
            tmp_path / "eval",
            SilentProgress(),
            resume=True,
        )
    train(shop, text, config, tmp_path / "eval", SilentProgress(), resume=True)
    one, two = Bundle.load(bundle_folder), Bundle.load(tmp_path / "eval")
    assert np.array_equal(item_ids(one), item_ids(two))
    assert one.record["parts"]["network"]["losses"] == two.record["parts"]["network"]["losses"]


def test_text_of_another_number_of_products(shop: Snapshot, text: Vectors, config: GnnConfig, tmp_path: Path) -> None:
    with pytest.raises(GnnError, match="79 text vectors for 80 products"):
        train(shop, text[1:], config, tmp_path / "eval", SilentProgress())
