"""Settings of the graph network: its parts, and what it reads of a product beside the text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from gnn.errors import GnnError


def refuse_shares(config: object, key: str, *names: str) -> None:
    """Refuse settings that are no share of something: below 0, or 1 and more.

    Raises:
        GnnError: names the setting.
    """
    for name in names:
        value = getattr(config, name)
        if not 0 <= value < 1:
            raise GnnError(f"{name} = {value:g}", f"{key}.{name}", "use a number from 0 up to, but not, 1")


@dataclass(frozen=True)
class SequenceConfig:
    """The network where a user is read event by event.

    Attributes:
        blocks: attention blocks over the user's events.
        heads: attention heads; they divide `model.dim`.
        length: latest events that are read; longer timelines are learned from in stretches of this length.
        convolution: events back, the event itself counted, whose vectors a block adds by learned weights beside what
            attention finds; 0: attention alone.
        layers: propagations over brands, categories and entities.
        dropout: share of elements and attention weights zeroed in training.
        id_dropout: share of products that stand without their id vector in a step, so that text and neighbourhood
            learn to speak for products that nobody has bought yet.
        lr: learning rate of Adam.
        batch: stretches per step.
        full_softmax: most products for which the softmax runs over all of them; beyond, `train.negatives` are drawn.
    """

    blocks: int = 2
    heads: int = 2
    length: int = 50
    convolution: int = 3
    layers: int = 1
    dropout: float = 0.5
    id_dropout: float = 0.15
    lr: float = 1e-3
    batch: int = 128
    full_softmax: int = 20_000

    def __post_init__(self) -> None:
        """Refuse settings without a meaning.

        Raises:
            GnnError: names the setting.
        """
        refuse_shares(self, "model.sequence", "dropout", "id_dropout")
        if self.convolution < 0:
            raise GnnError(f"convolution = {self.convolution}", "model.sequence.convolution", "use 0 or more")


@dataclass(frozen=True)
class SignalsConfig:
    """What the network reads of a product beside id, text and pictures: numbers, bands, categories, times.

    A number is log-scaled and standardised, stands in one of `bands` bands of equally many products, and is flagged
    where it is missing; a category is one of its values; a time is the days that have passed at the cut-off, and
    missing where it lies beyond. Two signals are made of the history alone, where events have times: `paid_price` and
    `first_seen`.

    Attributes:
        use: whether the network reads them.
        columns: properties of Product, or the two of the history. Empty: both, and every number, time, truth value and
            word of few values but `recommendable`, `stock` and `available_until`. What is made of all events is
            refused: the build's labels, and a column that just the products with events have.
        bands: of a number with more different values; 1: none.
        most_values: most values of a category that are told apart; by default a column with more is left out.
    """

    use: bool = False
    columns: tuple[str, ...] = ()
    bands: int = 8
    most_values: int = 30

    def __post_init__(self) -> None:
        """Refuse settings without a meaning.

        Raises:
            GnnError: names the setting.
        """
        for name in ("bands", "most_values"):
            if getattr(self, name) < 1:
                raise GnnError(f"{name} = {getattr(self, name)}", f"model.signals.{name}", "use at least 1")


@dataclass(frozen=True)
class ModelConfig:
    """Shape of the network.

    Attributes:
        user: how a user is read: `set` (the sum of messages from their products), `sequence` (attention over their
            events in order), or `auto`: sequence where events have an order and the mean timeline is no longer than
            `sequence.length`.
        sequence: the network where users are read as sequences.
        signals: what is read of a product beside id, text and pictures.
        user_vectors: whether every user of the training has a free vector too, which travels to their products and is
            no part of their own: it tells products apart by who bought them. Of the set network.
        repeats: whether the set network learns what it is worth that the user knows a product by another behaviour
            (has viewed it, put it into the cart, ...), and how often. The sequence network reads that by itself.
        dim: width of all vectors.
        layers: propagation layers of the set network.
        text_hidden: width of the hidden layer between text vectors and item vectors.
        temperature: start of the learned factor of the cosine of the set network.
        popularity: start of the learned factor of log(1 + buyers), likewise.
    """

    user: Literal["auto", "set", "sequence"] = "auto"
    sequence: SequenceConfig = field(default_factory=SequenceConfig)
    signals: SignalsConfig = field(default_factory=SignalsConfig)
    user_vectors: bool = True
    repeats: bool = True
    dim: int = 64
    layers: int = 3
    text_hidden: int = 64
    temperature: float = 5.0
    popularity: float = 0.5
