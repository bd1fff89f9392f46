"""The self-attention tower over stretches of events, as SASRec has it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gnn.network.feeding import sent
from gnn.network.sequences import Sequences, Stretches

USERS = 2048
"""Users whose states are computed at a time."""


@dataclass(frozen=True)
class Group:
    """Neighbouring stretches of similar length, padded to one width for attention.

    Attributes:
        events: first event and last + 1.
        shape: stretches and width.
        cell: cell of each event in that padded matrix, row by row.
    """

    events: tuple[int, int]
    shape: tuple[int, int]
    cell: Tensor


@dataclass(frozen=True)
class Layout:
    """Stretches of events; only attention sees them padded, in groups of similar length.

    Attributes:
        rows: product of each event, shape (t,).
        kinds: its behaviour, 0 for a target event, shape (t,).
        position: its position counted back from the stretch's end, 0 for the last, shape (t,).
        last: the last event of each stretch, shape (s,).
        groups: where attention happens.
    """

    rows: Tensor
    kinds: Tensor
    position: Tensor
    last: Tensor
    groups: tuple[Group, ...]

    @staticmethod
    def of(stretches: Stretches, device: torch.device) -> Layout:
        """The layout of `stretches`, which are sorted by length and none of them empty; made on the host for `device`.

        A GPU gets one group: it pads for less than what it takes to start the work of several.
        """
        s = stretches
        end = s.lengths.cumsum()
        octave = np.ceil(np.log2(s.lengths)) if device.type == "cpu" else np.zeros(len(s.lengths))
        edges = np.flatnonzero(np.diff(octave, prepend=-1, append=np.inf))
        groups = []
        for first, after in pairwise(edges):
            width = int(s.lengths[after - 1])
            begin, stop = int(end[first] - s.lengths[first]), int(end[after - 1])
            cell = (s.stretch[begin:stop] - first) * width + s.step[begin:stop]
            groups.append(Group((begin, stop), (int(after - first), width), torch.from_numpy(cell)))
        back = s.lengths[s.stretch] - 1 - s.step
        rows, kinds, position, last = (torch.from_numpy(a) for a in (s.rows, s.kinds, back, end - 1))
        return Layout(rows, kinds, position, last, tuple(groups))


class Block(nn.Module):
    """Causal self-attention and a feed-forward layer, each normalised before and added after.

    Beside attention stands a depthwise causal convolution, zero at the start: what the latest events were is at hand
    without attention having to learn to look there.

    Args:
        dim: width.
        heads: attention heads.
        dropout: share of elements and of attention weights zeroed in training.
        convolution: events that the convolution reads, 0: there is none.
    """

    def __init__(self, dim: int, heads: int, dropout: float, convolution: int = 0) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.before, self.after = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.asked, self.mixed = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.inner, self.outer = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.latest = nn.Parameter(torch.zeros(convolution, dim))

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        """Shapes (t, dim) -> (t, dim)."""
        before = self.before(x)
        x = x + self._drop(self.mixed(self.attend(before, layout)) + self.convolved(before, layout))
        hidden = self._drop(torch.relu(self.inner(self.after(x))))
        return x + self._drop(self.outer(hidden))

    def convolved(self, x: Tensor, layout: Layout) -> Tensor:
        """Sum of the latest events of each event's stretch, element by element by learned weights: (t, dim)."""
        total = torch.zeros_like(x)
        for back, weight in enumerate(self.latest[: len(x)]):
            same = layout.position[: len(x) - back] == layout.position[back:] + back  # of one stretch
            total = total + nn.functional.pad(x[: len(x) - back] * same.unsqueeze(1) * weight, (0, 0, back, 0))
        return total

    def attend(self, x: Tensor, layout: Layout) -> Tensor:
        """Each event's mean of the values up to it, weighed by attention: shapes (t, dim) -> (t, dim).

        Padding stands after the last event, so that no event ever sees it.
        """
        asked, dim = self.asked(x), x.shape[1]
        share, parts = self.dropout if self.training else 0.0, []
        for group in layout.groups:
            (stretches, width), (begin, stop) = group.shape, group.events
            padded = x.new_zeros(stretches * width, 3 * dim).index_copy(0, group.cell, asked[begin:stop])
            q, k, v = padded.view(stretches, width, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
            out = nn.functional.scaled_dot_product_attention(q, k, v, dropout_p=share, is_causal=True)
            parts.append(out.transpose(1, 2).reshape(stretches * width, dim)[group.cell])
        return torch.cat(parts)

    def _drop(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(x, self.dropout, self.training)


class AttentionTower(nn.Module):
    """What a user is after each of their events (SASRec, Kang and McAuley 2018).

    Args:
        dim: width.
        layers: blocks.
        heads: attention heads; they divide the width.
        length: positions.
        dropout: share zeroed in training.
        others: behaviours beside the target events that are read too; each has a vector that is added.
        convolution: events that each block's convolution reads.
    """

    def __init__(
        self, dim: int, layers: int, heads: int, length: int, dropout: float, others: int = 0, convolution: int = 0
    ) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(length, dim) * 0.02)
        self.kinds = nn.Parameter(torch.zeros(others + 1 if others else 0, dim))
        self.blocks = nn.ModuleList(Block(dim, heads, dropout, convolution) for _ in range(layers))
        self.final = nn.LayerNorm(dim)
        self.dropout = dropout

    def forward(self, layout: Layout, items: Tensor) -> Tensor:
        """State after each event, shape (t, dim), where the products have the vectors `items` (n, dim)."""
        found = nn.functional.embedding(layout.rows, items) * math.sqrt(items.shape[1])
        found = found + self.positions[layout.position]
        if len(self.kinds):
            found = found + self.kinds[layout.kinds]
        x = nn.functional.dropout(found, self.dropout, self.training)
        for block in self.blocks:
            x = block(x, layout)
        states: Tensor = self.final(x)
        return states

    @torch.no_grad()
    def last_states(self, sequences: Sequences, items: Tensor, length: int) -> NDArray[np.float32]:
        """State after each user's latest `length` events, zero without one, shape (sequences.n_users, dim)."""
        lengths = np.minimum(np.diff(sequences.indptr), length)
        out = np.zeros((sequences.n_users, items.shape[1]), np.float32)
        users = np.argsort(lengths, kind="stable")[np.count_nonzero(lengths == 0) :]
        for start in range(0, len(users), USERS):
            at = users[start : start + USERS]
            stretches = Stretches.cut(sequences, sequences.indptr[at + 1] - lengths[at], lengths[at])
            layout = sent(Layout.of(stretches, items.device), items.device)
            out[at] = self(layout, items)[layout.last].cpu().numpy()
        return out
