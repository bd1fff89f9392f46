"""How a text encoder is tuned on the graph: its settings."""

from __future__ import annotations

from dataclasses import dataclass

from encoders.config import DEVICES, PRECISIONS
from encoders.errors import EncoderError

METHODS = ("lora", "full", "head")
LAYERS = ("all", "attention", "feed-forward")


@dataclass(frozen=True)
class FinetuneConfig:
    """Tuning the text encoder on the graph (`shopgraph finetune`).

    Attributes:
        use: whether `encode` takes the tuned encoder of the workspace where there is one. The model that is tuned is
            `encode.model`.
        method: `lora` trains small matrices beside the linear layers (Hu et al. 2021) and adds them to the weights at
            the end; `full` trains all weights; `head` a linear layer over the vectors, the model staying as it is.
        rank: width of the matrices of LoRA.
        alpha: their sum is scaled by alpha / rank.
        layers: linear layers that get them: `all`, `attention` (what its module calls query, key, value and output)
            or `feed-forward` (the others).
        lr: learning rate of AdamW at its peak, after a linear warm-up and before a linear decay; 0: 5e-4 with LoRA,
            5e-5 for all weights, 3e-4 for the layer over the vectors.
        weight_decay: decoupled weight decay.
        warmup: share of the steps over which the learning rate rises.
        dropout: of the transformer, while it is tuned.
        temperature: start of what cosines are divided by in the softmax; it is learned. Too low a start makes tuning
            flatten the cosines first, which undoes what the model knew.
        batch: texts per step, companions and hard negatives included.
        recent: steps for which a vector counts as new after it was computed; older ones are part of no anchor.
        hard: share of a step's texts that are hard negatives: texts near to another one of the step, in the vectors of
            the moment, that are no partners of it.
        near: a hard negative is drawn from so many nearest texts.
        histories: histories per text and step that the text is the next of.
        partners: partners per text and step, of each kind of pair.
        history: latest texts of a history that are read.
        popularity: texts are drawn in proportion to their takers to this power: 0 all alike, 1 as often as they sell.
        logq: how far cosines are to say what sells: this times the logarithm of a text's takers is taken off its logit
            while learning. 0: how much likelier than usual a text is next; 1: how likely it is.
        window_days: with times, what one user takes within so many days belongs together.
        stretch: without times, so many events of a user in a row belong together.
        most: partners kept of each text and kind of pair, the strongest.
        needs: texts of the same category that are partners too, so many of each, drawn; 0: none.
        steps: most steps.
        check: steps between two looks at validation, after which the state is saved.
        patience: looks without a better value after which tuning ends.
        held_out: share of the texts set aside: no pair of theirs is learned from, and validation ranks them for the
            users who took them.
        blend: after the last step also tried on validation: so much of the tuned weights, the rest of those begun with
            (Wortsman et al. 2022, "Robust fine-tuning").
        max_tokens: texts are cut after so many tokens while tuning; `encode.max_tokens` holds too.
        max_seconds: tuning ends with the look after which this time is over; 0: never.
        masked_steps: steps of masked-language modelling on the texts before the pairs (Devlin et al. 2019).
        seed: of all draws.
        device: `cpu`, `cuda`, or `auto`: the GPU where there is one.
        precision: of the matrix products: `fp32`, `bf16`, or `auto`: bf16 on a GPU and on a CPU with AMX.
        threads: CPU threads; 0: torch's own number.
    """

    use: bool = True
    method: str = "lora"
    rank: int = 16
    alpha: int = 32
    layers: str = "all"
    lr: float = 0.0
    weight_decay: float = 0.01
    warmup: float = 0.1
    dropout: float = 0.0
    temperature: float = 0.2
    batch: int = 96
    recent: int = 20
    hard: float = 0.25
    near: int = 16
    histories: int = 4
    partners: int = 2
    history: int = 100
    popularity: float = 0.5
    logq: float = 0.5
    window_days: float = 1.0
    stretch: int = 5
    most: int = 100
    needs: int = 0
    steps: int = 60
    check: int = 20
    patience: int = 3
    held_out: float = 0.05
    blend: tuple[float, ...] = ()
    max_tokens: int = 40
    max_seconds: float = 840.0
    masked_steps: int = 0
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    threads: int = 0

    def __post_init__(self) -> None:
        """Refuse settings without a meaning.

        Raises:
            EncoderError: names the setting and the values that it may have.
        """
        words = {"method": METHODS, "layers": LAYERS, "device": DEVICES, "precision": PRECISIONS}
        for name, known in words.items():
            if getattr(self, name) not in known:
                what = f"unknown {name} {getattr(self, name)!r}"
                raise EncoderError(what, f"finetune.{name}", f"use one of {', '.join(known)}")
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                what = f"{name} = {getattr(self, name)}"
                raise EncoderError(what, f"finetune.{name}", f"use at least {least}")
        for name in ("hard", "held_out", "dropout", "warmup"):
            if not 0 <= getattr(self, name) < 1:
                what = f"{name} = {getattr(self, name)}"
                raise EncoderError(what, f"finetune.{name}", "use 0 or more, less than 1")
        if self.method == "head" and self.masked_steps:
            what = "a layer over the vectors cannot learn words"
            raise EncoderError(what, "finetune.masked_steps", "set it to 0, or use another finetune.method")
        if any(not 0 < share < 1 for share in self.blend):
            raise EncoderError(f"blend = {list(self.blend)}", "finetune.blend", "use shares between 0 and 1")
        if self.temperature <= 0:
            raise EncoderError(f"temperature = {self.temperature}", "finetune.temperature", "use more than 0")

    @property
    def peak(self) -> float:
        """The learning rate at its peak."""
        return self.lr or {"lora": 5e-4, "full": 5e-5, "head": 3e-4}[self.method]


_LEAST: dict[str, float] = {
    **dict.fromkeys(("rank", "alpha", "near", "history", "stretch", "most", "steps", "check", "patience"), 1),
    **dict.fromkeys(("histories", "partners", "needs", "masked_steps", "recent", "seed", "threads"), 0),
    **dict.fromkeys(("lr", "weight_decay", "popularity", "logq", "window_days", "max_seconds"), 0),
    "batch": 2,
    "max_tokens": 3,
}
