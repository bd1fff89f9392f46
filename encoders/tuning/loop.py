"""The loop of a tuning: steps with warm-up and decay, looks at validation, early stop, checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from encoders.tuning.batches import Drawer
from encoders.tuning.config import FinetuneConfig
from encoders.tuning.held_out import Question
from encoders.tuning.masked import MaskedLanguage
from encoders.tuning.objective import info_nce
from encoders.tuning.pairs import TextPairs
from encoders.tuning.trainee import Learner, Trainee
from ingest.progress import Progress

CLIP = 1.0
"""Most length of a step's gradient."""
TEMPERATURE_LR = 0.01
"""Of the logarithm of the temperature, at the peak."""


@dataclass
class TuneState:
    """What changes while tuning, beside weights and vectors.

    Attributes:
        masked: steps of masked-language modelling done.
        step: steps done.
        best_step: steps after which validation was best; 0: the model as it came.
        best: the best validation value.
        weights: the trained weights then.
        losses: mean loss between two looks.
        temperature: learned so far.
        validation: the value before tuning and at every look.
        blends: validation of the weights mixed with those begun with, by share.
        seconds: of all runs together.
    """

    masked: int = 0
    step: int = 0
    best_step: int = 0
    best: float = -math.inf
    weights: dict[str, Tensor] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    temperature: float = 0.0
    validation: list[float] = field(default_factory=list)
    blends: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    def facts(self) -> dict[str, Any]:
        """What is told of a tuning; JSON-able."""
        said: dict[str, Any] = {"steps": self.best_step, "steps_run": self.step, "losses": self.losses}
        said["validation"] = self.validation
        said["blends"] = self.blends
        said["temperature"] = round(self.temperature, 4)
        return said | {"seconds": round(self.seconds, 1)}


class TuningLoop:
    """One tuning.

    Args:
        trainee: the model, changed in place.
        pairs: what it learns from.
        question: what validation asks.
        vectors: unit vectors of all texts by the model as it came, shape (n_texts, dim); changed in place.
        config: the settings.
    """

    def __init__(
        self,
        trainee: Learner,
        pairs: TextPairs,
        question: Question,
        vectors: NDArray[np.float32],
        config: FinetuneConfig,
    ) -> None:
        self.trainee, self.question, self.bank, self.config = trainee, question, vectors, config
        self.drawer = Drawer(pairs, config)
        self.prior = (config.logq * np.log(np.maximum(pairs.takers, 1))).astype(np.float32)
        self.computed = np.zeros(len(vectors), np.int64)
        self.rng = np.random.default_rng(config.seed)
        self.masked = MaskedLanguage(trainee) if config.masked_steps and isinstance(trainee, Trainee) else None
        self.log_temperature = nn.Parameter(torch.tensor(math.log(config.temperature), device=trainee.device))
        self.state = TuneState(weights=trainee.state())
        self._begin(self.masked.weights if self.masked else [])

    def _begin(self, others: list[nn.Parameter]) -> None:
        """A fresh optimiser over the trained weights, the temperature and `others`."""
        weights = [*self.trainee.weights.values(), *others]
        groups: list[dict[str, Any]] = [
            {"params": weights, "peak": self.config.peak, "weight_decay": self.config.weight_decay},
            {"params": [self.log_temperature], "peak": TEMPERATURE_LR, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups)

    def run(self, progress: Progress, checkpoint: Path) -> TuneState:
        """Tune until validation has stopped improving, or steps or time are over; the best weights are put back.

        Args:
            progress: shows loss and validation at every look.
            checkpoint: file to save to at every look, and to go on from if it is there.
        """
        begun, began, before = self.trainee.state(), time.monotonic(), 0.0
        if checkpoint.exists():
            self.restore(checkpoint)
            before = self.state.seconds
        if self.masked and self.state.masked < self.config.masked_steps:
            self._learn_words(progress, checkpoint)
        if not self.state.validation:
            self._look(math.nan)
        with progress.station("tune the encoder", self.config.steps, "steps") as station:
            station.advance(self.state.step)
            while self._goes_on():
                count = min(self.config.check, self.config.steps - self.state.step)
                losses = []
                for _ in range(count):
                    losses.append(self._step())
                    station.advance()
                self._look(float(np.mean(losses)))
                self.state.seconds = before + time.monotonic() - began
                self.save(checkpoint)
                station.note(
                    f"loss {self.state.losses[-1]:.4f}, validation NDCG {self.state.validation[-1]:.4f}, "
                    f"untuned {self.state.validation[0]:.4f}"
                )
        self._blend(begun)
        self.trainee.restore(self.state.weights)
        return self.state

    def _blend(self, began: dict[str, Tensor]) -> None:
        """Keep a mean of the best weights and those begun with where validation prefers it."""
        best = self.state.weights
        for share in self.config.blend if self.state.best_step and len(self.question.texts) else ():
            mixed = {name: share * best[name] + (1 - share) * value for name, value in began.items()}
            self.trainee.restore(mixed)
            value = self._judged()
            self.state.blends[str(share)] = value
            if value > self.state.best:
                self.state.best, self.state.weights = value, mixed

    def _goes_on(self) -> bool:
        s, c = self.state, self.config
        late = c.max_seconds > 0 and s.seconds > c.max_seconds
        return self.drawer.size > 1 and s.step < c.steps and s.step - s.best_step < c.patience * c.check and not late

    def _step(self) -> float:
        if self.trainee.refresh and self.state.step % self.trainee.refresh == 0:
            self.bank[:], self.computed[:] = self.trainee.encoded(np.arange(len(self.bank))), self.state.step
        new = self.state.step - self.computed <= self.config.recent
        step = self.drawer.draw(self.rng, self.bank, new)
        if not len(step.answer):  # no companion of the kinds drawn, and nothing new beside the step
            self.state.step += 1
            return 0.0
        fresh = self.trainee.vectors(step.texts)
        loss = info_nce(step, fresh, self.bank, self.log_temperature.exp(), self.prior[step.texts])
        self._descend(loss, self.state.step, self.config.steps)
        self.state.step += 1
        self.bank[step.texts], self.computed[step.texts] = fresh.detach().cpu().numpy(), self.state.step
        return float(loss.detach())

    def _descend(self, loss: Tensor, step: int, steps: int) -> None:
        """One step of the optimiser, at the rate of this step: up to the peak in a straight line, and down to zero."""
        rise = max(1, round(self.config.warmup * steps))
        scale = min((step + 1) / rise, (steps - step) / max(1, steps - rise))
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * scale
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_([p for group in self.optimizer.param_groups for p in group["params"]], CLIP)
        self.optimizer.step()

    def _look(self, loss: float) -> None:
        """Validate, and keep the weights if they are the best; before the first step the model as it came is judged."""
        s = self.state
        if s.step:
            s.losses.append(loss)
        s.temperature = float(self.log_temperature.detach().exp())
        value = self._judged() if s.step or s.masked else self.question.ndcg(self.bank)
        s.validation.append(value)
        if value > s.best or not len(self.question.texts):
            s.best, s.best_step, s.weights = value, s.step, self.trainee.state()

    def _judged(self) -> float:
        """Validation of the weights as they are; the vectors that it takes are new from then on."""
        rows = self.question.needed
        self.bank[rows], self.computed[rows] = self.trainee.encoded(rows), self.state.step
        return self.question.ndcg(self.bank)

    def _learn_words(self, progress: Progress, checkpoint: Path) -> None:
        """The first phase; then all vectors are computed anew and the optimiser begins afresh."""
        assert self.masked is not None  # noqa: S101 - called where there is one
        steps, every = self.config.masked_steps, self.config.check
        with progress.station("learn the shop's words", steps, "steps") as station:
            station.advance(self.state.masked)
            while self.state.masked < steps:
                rows = self.rng.choice(len(self.bank), min(self.config.batch, len(self.bank)), replace=False)
                loss = self.masked.loss(rows, self.rng)
                self._descend(loss, self.state.masked, steps)
                self.state.masked += 1
                station.advance()
                station.note(f"loss {float(loss.detach()):.4f}")
                if self.state.masked % every == 0 and self.state.masked < steps:
                    self.save(checkpoint)
        self.bank[:] = self.trainee.encoded(np.arange(len(self.bank)))
        self._begin([])

    def save(self, path: Path) -> None:
        """Write all that tuning needs to go on, whole or not at all."""
        words = self.masked is not None and self.state.masked < self.config.masked_steps
        saved: dict[str, Any] = {
            "weights": self.trainee.state(),
            "temperature": self.log_temperature.detach(),
            "head": [p.detach() for p in self.masked.weights] if self.masked and words else [],
            "optimizer": self.optimizer.state_dict(),
            "bank": torch.from_numpy(self.bank),
            "computed": torch.from_numpy(self.computed),
            "rng": self.rng.bit_generator.state,
            "noise": torch.get_rng_state(),
            "device_noise": torch.cuda.get_rng_state() if self.trainee.device.type == "cuda" else None,
            "state": vars(self.state),
        }
        scratch = path.with_suffix(".part")
        torch.save(saved, scratch)
        scratch.replace(path)

    def restore(self, path: Path) -> None:
        """Go on from a file written by `save`."""
        saved: Mapping[str, Any] = torch.load(path, map_location=self.trainee.device, weights_only=True)
        self.state = TuneState(**saved["state"])
        if self.masked and not saved["head"]:
            self._begin([])
        for parameter, value in zip(self.masked.weights if self.masked else [], saved["head"], strict=False):
            parameter.data.copy_(value)
        self.log_temperature.data.copy_(saved["temperature"])
        self.trainee.restore(saved["weights"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.bank[:], self.computed[:] = saved["bank"].cpu().numpy(), saved["computed"].cpu().numpy()
        self.rng.bit_generator.state = saved["rng"]
        torch.set_rng_state(saved["noise"].cpu())
        if saved["device_noise"] is not None:
            torch.cuda.set_rng_state(saved["device_noise"].cpu())


def describe(config: FinetuneConfig) -> dict[str, Any]:
    """The settings as they stand in a report, without those that do not change what is learned."""
    said = {k: v for k, v in asdict(config).items() if k not in ("use", "max_seconds", "threads")}
    return said | {"blend": list(config.blend)}
