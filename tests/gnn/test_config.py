import json

from gnn.config import GnnConfig
from ingest.config_dict import from_dict, to_dict, with_setting


def test_settings_survive_json() -> None:
    config = with_setting(GnnConfig(), "eval.k", "5,10", "test")
    config = with_setting(config, "split.test_from", "2017-10-15", "test")
    config = with_setting(config, "graph.exclude_relations", "[]", "test")
    assert config.eval.k == (5, 10)
    assert config.graph.exclude_relations == ()
    assert from_dict(GnnConfig, json.loads(json.dumps(to_dict(config))), "test") == config
