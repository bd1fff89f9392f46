"""`shopgraph finetune`: the encoder is tuned, used, said, and refused where it knows too much."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizer

Run = Callable[..., CompletedProcess[str]]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "coffee", "tea", "number", "house", "drinks", *"0123456789.,"]
SPLIT = ["--set", "split.valid_from=2024-03-08", "--set", "split.test_from=2024-03-09"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A very small random BERT."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(2)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=len(WORDS), max_position_embeddings=32, **size)).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def place(shop: Any, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built workspace whose settings name that model and a quick tuning."""
    folder = tmp_path_factory.mktemp("tuned") / "work"
    shutil.copytree(shop.workspace, folder)
    settings = f'[encode]\nmodel = "{model}"\n[finetune]\nsteps = 6\ncheck = 2\nbatch = 16\nheld_out = 0.2\n'
    (folder / "shopgraph.toml").write_text(settings)
    return folder


@pytest.fixture(scope="module")
def report(place: Path, run: Run) -> dict[str, Any]:
    """The workspace is tuned, encoded and trained; what finetune said."""
    done = run("finetune", "--json", *SPLIT, "--workspace", str(place))
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def test_what_it_says(report: dict[str, Any], place: Path, model: Path) -> None:
    assert report["base"]["model"] == str(model)
    assert report["split"]["until"] == "2024-03-08T00:00:00+00:00"
    assert (report["texts"], report["held_out"]) == (40, 8)
    assert report["encoder"] == str(place / "encoder")
    assert json.loads((place / "reports" / "finetune.json").read_text())["validation"] == report["validation"]
    assert not (place / ".encoder-checkpoint").exists()


def test_encode_uses_it_and_the_settings_can_say_no(report: dict[str, Any], place: Path, model: Path, run: Run) -> None:
    tuned = run("encode", "--json", "--workspace", str(place))
    assert tuned.returncode == 0, tuned.stderr
    head = json.loads(tuned.stdout)
    assert head["model"] == str(place / "encoder")
    assert head["tuned"]["split"] == report["split"]
    plain = json.loads(run("encode", "--json", "--set", "finetune.use=false", "--workspace", str(place)).stdout)
    assert (plain["model"], plain["tuned"]) == (str(model), {})
    other = run("encode", "--set", "encode.model=builtin", "--workspace", str(place))
    assert other.returncode == 1
    assert "began with the model" in other.stderr
    assert "set finetune.use = false" in other.stderr


def test_a_split_that_holds_out_what_it_saw_is_refused(report: dict[str, Any], place: Path, run: Run) -> None:
    assert run("encode", "--workspace", str(place)).returncode == 0
    quick = ["--model", "text", "--workspace", str(place)]
    earlier = ["--set", "split.valid_from=2024-03-06", "--set", "split.test_from=2024-03-08"]
    for command in ("train", "tune", "leak-check"):
        refused = run(command, *earlier, *quick)
        assert refused.returncode == 1
        assert "the text encoder was tuned on events up to 2024-03-08" in refused.stderr
        assert "run shopgraph finetune and encode again" in refused.stderr
    # with the tuning's own split all goes well, until another encoder's vectors come in
    assert run("train", *SPLIT, *quick).returncode == 0
    assert run("evaluate", "--workspace", str(place)).returncode == 0
    late = ["--set", "split.valid_from=2024-03-09", "--set", "split.test_from=2024-03-10"]
    for command in ("finetune", "encode"):
        done = run(command, *(late if command == "finetune" else []), "--workspace", str(place))
        assert done.returncode == 0, done.stderr
    for words in (["evaluate", "--set", "eval.k=[3]"], ["trade-off"]):
        refused = run(*words, "--workspace", str(place))
        assert refused.returncode == 1
        assert "the text encoder was tuned on events up to 2024-03-09" in refused.stderr


def test_nothing_to_resume(shop: Any, tmp_path: Path, run: Run) -> None:
    place = Path(shutil.copytree(shop.workspace, tmp_path / "work"))
    (place / ".encoder-checkpoint" / "of-other-settings").mkdir(parents=True)
    done = run("finetune", "--resume", "--workspace", str(place))
    assert done.returncode == 1
    assert "of other settings, texts or events" in done.stderr
    assert (place / ".encoder-checkpoint" / "of-other-settings").exists()


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("finetune.method=qlora", "use one of lora, full"),
        ("finetune.steps=0", "use at least 1"),
        ("finetune.nothing=1", "nothing"),
        ("split.valid_from=2030-01-01", "valid"),
        ("encode.model=./nowhere", "there is no directory './nowhere'"),
    ],
)
def test_mistakes_are_one_line(shop: Any, run: Run, word: str, said: str) -> None:
    done = run("finetune", "--set", word, "--workspace", str(shop.workspace))
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (shop.workspace / "encoder").exists()
