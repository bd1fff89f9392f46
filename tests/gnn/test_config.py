import json

import pytest

from gnn.config import GnnConfig
from gnn.errors import GnnError
from ingest.config_dict import from_dict, to_dict, with_setting


def test_settings_survive_json() -> None:
    config = with_setting(GnnConfig(), "eval.k", "5,10", "test")
    config = with_setting(config, "split.test_from", "2017-10-15", "test")
    config = with_setting(config, "graph.exclude_relations", "[]", "test")
    assert config.eval.k == (5, 10)
    assert config.graph.exclude_relations == ()
    assert from_dict(GnnConfig, json.loads(json.dumps(to_dict(config))), "test") == config


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train.averaging", "1"),
        ("train.product_dropout", "-0.1"),
        ("train.dropout", "1.5"),
        ("model.sequence.id_dropout", "1"),
        ("model.sequence.convolution", "-1"),
    ],
)
def test_a_setting_without_a_meaning_is_named(key: str, value: str) -> None:
    with pytest.raises(GnnError, match=key) as raised:
        with_setting(GnnConfig(), key, value, "test")
    assert "use " in raised.value.remedy
