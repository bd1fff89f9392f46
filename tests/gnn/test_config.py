import json

import pytest

from gnn.config import GnnConfig
from gnn.errors import GnnError


def test_round_trip_through_json() -> None:
    config = GnnConfig().set("eval.k", "5,10").set("split.test_from", "2017-10-15").set("train.lr", "0.002")
    assert GnnConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert config.eval.k == (5, 10)
    assert config.train.lr == 0.002


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("train.epochs", "7", 7),
        ("graph.use_brands", "false", False),
        ("graph.exclude_relations", "[]", ()),
        ("graph.target_events", "purchase, review", ("purchase", "review")),
        ("split.valid_from", "none", None),
        ("train.device", "cpu", "cpu"),
    ],
)
def test_set_reads_text_as_the_settings_type(key: str, text: str, value: object) -> None:
    part, name = key.split(".")
    assert getattr(getattr(GnnConfig().set(key, text), part), name) == value


@pytest.mark.parametrize(
    ("key", "value"),
    [("train.speed", "1"), ("speed", "1"), ("train.epochs", "many"), ("train.device", "tpu"), ("train.epochs", 1.5)],
)
def test_unknown_keys_and_wrong_values_are_named(key: str, value: object) -> None:
    with pytest.raises(GnnError, match=str(value) if key in ("train.epochs", "train.device") else key):
        GnnConfig().set(key, value)


def test_from_dict_rejects_unknown_parts() -> None:
    with pytest.raises(GnnError, match=r"modell\.dim"):
        GnnConfig.from_dict({"modell": {"dim": 3}})
    with pytest.raises(GnnError, match="not a table"):
        GnnConfig.from_dict({"train": 3})
