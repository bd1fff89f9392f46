"""Tiny random checkpoints of the usual families give sentence-transformers' vectors, for passages and for queries."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from encoders.config import EncoderConfig
from encoders.model_files import find_model
from encoders.modules import POOLINGS
from encoders.text_encoder import TextEncoder

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its own imports' warnings are not ours
    sentence_transformers = pytest.importorskip("sentence_transformers")
    from sentence_transformers import SentenceTransformer
    from sentence_transformers import models as parts

TEXTS = ["green tea", "Té verde orgánico, 250 g", "有机绿茶 250克", "", "tea " * 60, "Zelený čaj - Ünïcöde ﬁne"]
SIZE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 32}
LETTERS = sorted(set("abcdefghijklmnopqrstuvwxyzáéíóúñčüïö0123456789,.:-▁ 有机绿茶克query passage"))
WORDS = ["tea", "green", "té", "verde", "query", "passage", "有机", "绿茶"]
BERT_MARKS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
XLM_MARKS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def bert_tokenizer() -> transformers.PreTrainedTokenizerFast:
    vocabulary = {word: i for i, word in enumerate([*BERT_MARKS, *WORDS, *LETTERS, *(f"##{c}" for c in LETTERS)])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


def unigram_tokenizer(marks: list[str], template: str) -> transformers.PreTrainedTokenizerFast:
    scores = [(mark, 0.0) for mark in marks] + [(f"▁{w}", -2.0) for w in WORDS] + [(c, -5.0) for c in LETTERS]
    tokenizer = Tokenizer(models.Unigram(scores, unk_id=marks.index("<unk>")))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    ends = [(mark, marks.index(mark)) for mark in ("<s>", "</s>") if mark in template]
    tokenizer.post_processor = processors.TemplateProcessing(template, special_tokens=ends)
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>")


def transformer(kind: str) -> tuple[Any, transformers.PreTrainedTokenizerFast]:
    """A random transformer and its tokenizer; wide weights, so that texts come out far apart."""
    torch.manual_seed(5)
    if kind == "bert":
        words = bert_tokenizer()
        config = transformers.BertConfig(
            vocab_size=len(words), max_position_embeddings=40, initializer_range=0.5, **SIZE
        )
        return transformers.BertModel(config), words
    if kind == "distilbert":
        words = bert_tokenizer()
        config = transformers.DistilBertConfig(
            vocab_size=len(words), max_position_embeddings=40, dim=16, n_layers=2, n_heads=4, hidden_dim=32
        )
        return transformers.DistilBertModel(config), words
    if kind == "xlm-roberta":
        words = unigram_tokenizer(XLM_MARKS, "<s> $A </s>")
        config = transformers.XLMRobertaConfig(
            vocab_size=len(words), max_position_embeddings=42, pad_token_id=1, initializer_range=0.5, **SIZE
        )
        return transformers.XLMRobertaModel(config), words
    assert kind == "t5"
    words = unigram_tokenizer(["<pad>", "</s>", "<unk>"], "$A </s>")
    config = transformers.T5Config(
        vocab_size=len(words), d_model=16, d_kv=4, d_ff=32, num_layers=2, num_heads=4, initializer_factor=3.0
    )
    return transformers.T5EncoderModel(config), words


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Saves a model as sentence-transformers does, under a name."""

    def make(name: str, kind: str, pooling: Any = "mean", after: tuple[Any, ...] = (), **prompts: str) -> Path:
        plain, folder = tmp_path / "plain", tmp_path / name
        model, words = transformer(kind)
        model.save_pretrained(plain)
        words.model_max_length = 40
        words.save_pretrained(plain)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            first = parts.Transformer(str(plain))
            whole = SentenceTransformer(
                modules=[first, parts.Pooling(16, pooling_mode=pooling), *after], prompts=prompts or None, device="cpu"
            )
            whole.save(str(folder), create_model_card=False)
        return folder

    return make


def library(folder: Path, query: str | None = None, passage: str | None = None) -> tuple[Any, Any]:
    """sentence-transformers' passages and queries, of length one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = SentenceTransformer(str(folder), device="cpu")
        settings: dict[str, Any] = {"normalize_embeddings": True, "show_progress_bar": False, "batch_size": 3}
        return (
            model.encode_document(TEXTS, prompt=passage, **settings),
            model.encode_query(TEXTS, prompt=query, **settings),
        )


def ours(folder: Path, **settings: Any) -> TextEncoder:
    config = {"device": "cpu", "precision": "fp32", "batch_tokens": 100, "threads": 1}
    return TextEncoder(EncoderConfig(model=str(folder), **(config | settings)))


def assert_alike(folder: Path, query: str | None = None, passage: str | None = None) -> TextEncoder:
    passages, queries = library(folder, query, passage)
    encoder = ours(folder)
    np.testing.assert_allclose(encoder.encode(TEXTS), passages, atol=2e-5)
    np.testing.assert_allclose(encoder.queries(TEXTS), queries, atol=2e-5)
    assert encoder.files.dim == passages.shape[1]
    # a random model that says the same of everything would prove nothing
    assert np.abs(passages @ passages.T - 1)[np.triu_indices(len(TEXTS), 1)].max() > 0.05
    return encoder


@pytest.mark.parametrize("kind", ["bert", "distilbert", "xlm-roberta", "t5"])
def test_architectures(save: Callable[..., Path], kind: str) -> None:
    # 40 tokens is the limit of each, RoBERTa's 42 positions less the two before the first token among them
    assert assert_alike(save("plain-model", kind)).files.max_tokens == 40


@pytest.mark.parametrize("pooling", [*POOLINGS, ("cls", "mean")])
def test_poolings(save: Callable[..., Path], pooling: Any) -> None:
    assert_alike(save("pooled", "xlm-roberta", pooling))


def test_dense_layers_and_length_one(save: Callable[..., Path]) -> None:
    torch.manual_seed(1)
    layers = (
        parts.Normalize(),
        parts.Dense(16, 24),
        parts.Dense(24, 8, bias=False, activation_function=torch.nn.Identity()),
        parts.Normalize(),
    )
    assert assert_alike(save("dense", "bert", "cls", layers)).files.dim == 8


def test_minilm_as_plain_transformers_save_it(save: Callable[..., Path]) -> None:
    """Without any file of sentence-transformers: the mean over the tokens, as the library does."""
    folder = save("x", "bert").parent / "plain"
    assert not (folder / "modules.json").exists()
    assert_alike(folder)


def test_old_layout(save: Callable[..., Path]) -> None:
    """What the library wrote years ago: a folder for the transformer, flags for the pooling."""
    new = save("new", "bert", "max")
    old = new.parent / "old"
    (old / "1_Pooling").mkdir(parents=True)
    shutil.copytree(new.parent / "plain", old / "0_Transformer")
    (old / "0_Transformer" / "sentence_bert_config.json").write_text('{"max_seq_length": 9, "do_lower_case": false}')
    flags = {"word_embedding_dimension": 16, "pooling_mode_max_tokens": True, "pooling_mode_mean_tokens": False}
    (old / "1_Pooling" / "config.json").write_text(json.dumps(flags))
    places = {"Transformer": "0_Transformer", "Pooling": "1_Pooling"}
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, path) in enumerate(places.items())
    ]
    (old / "modules.json").write_text(json.dumps(listed))
    assert assert_alike(old).files.max_tokens == 9


@pytest.mark.parametrize(
    ("name", "kind", "pooling", "query", "passage"),
    [
        ("e5-small-v2", "bert", "mean", "query: ", "passage: "),
        ("multilingual-e5-base", "xlm-roberta", "mean", "query: ", "passage: "),
        ("bge-small-en-v1.5", "bert", "cls", "Represent this sentence for searching relevant passages: ", ""),
        ("bge-large-zh", "bert", "cls", "为这个句子生成表示以用于检索相关文章：", ""),  # noqa: RUF001
        ("bge-m3", "xlm-roberta", "cls", "", ""),
        ("some-e5-thing", "bert", "mean", "", ""),
    ],
)
def test_families_that_want_a_prefix(
    save: Callable[..., Path], name: str, kind: str, pooling: str, query: str, passage: str
) -> None:
    folder = save(name, kind, pooling)
    encoder = assert_alike(folder, query, passage)
    assert (encoder.files.query_prefix, encoder.files.passage_prefix) == (query, passage)
    plain = ours(folder, query_prefix="", passage_prefix="")
    assert (plain.files.query_prefix, plain.files.passage_prefix) == ("", "")
    assert (plain.digest == encoder.digest) == (not passage)


def test_a_models_own_prompts(save: Callable[..., Path]) -> None:
    folder = save("e5-base", "bert", query="query query: ", document="passage passage: ")
    encoder = assert_alike(folder)
    assert (encoder.files.query_prefix, encoder.files.passage_prefix) == ("query query: ", "passage passage: ")
    asked = ours(folder, query_prefix="tea: ")
    assert (asked.queries(["a"]) == ours(folder, query_prefix="").queries(["tea: a"])).all()


def test_a_query_and_a_passage_alike_without_prefixes(save: Callable[..., Path]) -> None:
    encoder = ours(save("mini", "bert"))
    np.testing.assert_allclose(encoder.queries(TEXTS), encoder.encode(TEXTS), atol=1e-6)
    assert encoder.queries([]).shape == (0, 16)


def test_lowered_texts(save: Callable[..., Path]) -> None:
    folder = save("lower", "xlm-roberta")
    before = ours(folder).encode(["green tea", "GREEN Tea"])
    assert abs(before[0] @ before[1]) < 0.999
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 40, "do_lower_case": true}')
    assert find_model(EncoderConfig(model=str(folder))).lowercase
    after = ours(folder).encode(["green tea", "GREEN Tea"])
    np.testing.assert_allclose(after, before[[0, 0]], atol=1e-6)
