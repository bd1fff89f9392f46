"""`shopgraph.toml`: the settings of every room in one file, unknown keys refused."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field

from encoders.config import EncoderConfig
from encoders.search.config import SearchConfig
from encoders.sentiment.config import SentimentConfig
from encoders.tuning.config import FinetuneConfig
from gnn.config import GnnConfig
from ingest.config_dict import from_dict, with_setting
from ingest.settings import IngestSettings
from shopgraph.errors import AppError
from shopgraph.workspace import Workspace, write_whole

COMPLETE_JOURNEY = """\
# Settings of this workspace; `shopgraph train --help` and docs/settings.md tell what there is.
# Complete Journey: the windows and candidates of the project's published figures.
[split]
method = "time"
valid_from = "2017-08-01"
test_from = "2017-10-15"
min_buyers = 5
"""
ROOMS = ("ingest", "encode", "finetune", "search", "sentiment")
"""Groups of the file that do not belong to the model room."""
PLAIN = """\
# Settings of this workspace; docs/settings.md tells what there is. Nothing set: the defaults hold.
"""


@dataclass(frozen=True)
class Settings:
    """All settings. In the file, the groups of `gnn` stand at the top level: [split], [graph], [train], ….

    Attributes:
        ingest: reading and cleaning; [ingest].
        encode: the text encoder; [encode].
        finetune: its tuning on the graph; [finetune].
        search: product search; [search].
        sentiment: what reviews say; [sentiment].
        gnn: splits, model, training, fusion and evaluation.
    """

    ingest: IngestSettings = field(default_factory=IngestSettings)
    encode: EncoderConfig = field(default_factory=EncoderConfig)
    finetune: FinetuneConfig = field(default_factory=FinetuneConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    sentiment: SentimentConfig = field(default_factory=SentimentConfig)
    gnn: GnnConfig = field(default_factory=GnnConfig)


def load_settings(workspace: Workspace, overrides: Sequence[str] | None = None) -> Settings:
    """The workspace's settings with `KEY=VALUE` overrides on top.

    Raises:
        ShopgraphError: unknown key, wrong value, unreadable file.
    """
    path = workspace.settings_file
    values = {}
    if path.exists():
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise AppError(f"settings cannot be read: {error}", str(path), "correct the file") from error
    rooms = {key: values.pop(key) for key in ROOMS if key in values}
    settings = from_dict(Settings, rooms | {"gnn": values}, str(path))
    for override in overrides or ():
        key, equals, text = override.partition("=")
        if not equals:
            raise AppError(f"{override!r} is not KEY=VALUE", "--set", "write it as in train.epochs=20")
        dotted = key if key.split(".")[0] in ROOMS else f"gnn.{key}"
        settings = with_setting(settings, dotted, text, "--set")
    return settings


def provide_settings(workspace: Workspace, source: str) -> None:
    """Write the settings file that belongs to a source, unless a person has one already."""
    if not workspace.settings_file.exists():
        write_whole(workspace.settings_file, COMPLETE_JOURNEY if source == "complete-journey" else PLAIN)
