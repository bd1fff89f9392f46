"""Trains a path reasoner of hopwise on an exported split and writes its lists; runs in hopwise's own environment.

First the TransE vectors that both reasoners stand on, then the reasoner: each for half of the time, or its epochs.
"""

import logging
from dataclasses import replace
from pathlib import Path

import atomic
import exchange
import numpy as np
import torch
from hopwise.config import Config
from hopwise.data import create_dataset, data_preparation
from hopwise.data.interaction import Interaction
from hopwise.model.knowledge_aware_recommender import cafe, pgpr
from hopwise.utils import get_model, get_trainer, init_seed

UI = "[UI-Relation]"
PATTERNS = 12
DEFAULTS = {"transe_epochs": 60, "epochs": 50, "test_users": None}
"""Settings of this driver: epochs of either stage, and how many test users get lists (None: all; drawn by the seed)."""


class PGPR(pgpr.PGPR):
    """hopwise's PGPR with lists that hold what its paths found.

    hopwise 0.9.1 puts the scores of a user in the row of another when one before has no path, and gives the scores of
    the first to the fillers when a user's paths lead to fewer products than a list has places. Here a row belongs to
    its user, and fillers (by the TransE score, as hopwise means them) stand below what paths found.
    """

    def collect_scores(self, users, paths, probs):  # noqa: ARG002 - hopwise calls it so
        """Scores (users, items), and nothing to explain."""
        items = self.entity_embedding[: self.n_items]
        wanted = self.user_embedding[users.numpy()] + self.relation_embedding[self.ui_relation_id]
        scores = wanted @ items.T
        found = np.zeros(scores.shape, bool)
        row = {user: place for place, user in enumerate(users.tolist())}
        for path in paths:
            relation = [step[0] for step in path[1:]]
            _, kind, node = path[-1]
            if "self_loop" not in relation and kind == "entity" and node < self.n_items:
                found[row[path[0][2]], node] = True
        # in a user's row no filler comes before what a path found
        scores = np.where(found, scores, scores - (scores.max() - scores.min() + 1.0))
        return torch.from_numpy(scores), []


MODELS = {"PGPR": PGPR, "CAFE": cafe.CAFE}


def patterns(model, relations):
    """Paths that may lead to a product: through one that the user took, to what it shares with another product."""
    start = [[None, "user"], [UI, "entity"]]
    along = [[*start, [r, "entity"], [f"{r}_r", "entity"]] for r in relations[:PATTERNS]]
    # hopwise's CAFE has no edges from a product back to its users, and takes the product's number for a user's
    return along if model == "CAFE" else [[*start, [UI, "user"], [UI, "entity"]], *along]


def configure(model, args, work, more):
    """The configuration: hopwise's defaults, what the exported files need, then `more`."""
    given = {
        "data_path": str(work),
        "checkpoint_dir": str(work / "saved"),
        "benchmark_filename": ["train", "valid", "valid"],
        "load_col": {
            "inter": ["user_id", "item_id"],
            "kg": ["head_id", "relation_id", "tail_id"],
            "link": ["item_id", "entity_id"],
        },
        # vectors are handed over in memory
        "additional_feat_suffix": None,
        "preload_weight": None,
        "alias_of_user_id": None,
        "alias_of_entity_id": None,
        "alias_of_relation_id": None,
        "kg_reverse_r": args.model == "CAFE",
        "eval_args": {"group_by": "user", "order": "RO", "mode": "full", "split": {"RS": [0.8, 0.1, 0.1]}},
        "topk": [10, args.k],
        "seed": args.seed,
        "use_gpu": False,
        "show_progress": False,
        "state": "WARNING",
    }
    return Config(model=model, dataset=atomic.NAME, config_dict=given | more)


class Timed:
    """Batches of a loader until the time is spent: an epoch of path search may take longer than is given."""

    def __init__(self, loader, clock):
        self.loader, self.clock = loader, clock

    def __getattr__(self, name):
        """Whatever else is asked of the loader."""
        return getattr(self.loader, name)

    def __iter__(self):
        """At least one batch."""
        for batch in self.loader:
            yield batch
            if self.clock.spent():
                return


def train(config, data, model, epochs, clock):
    """Train for `epochs`, or until the time is spent; returns the epochs done and the last loss."""
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    for epoch in range(epochs):
        loss = trainer._train_epoch(Timed(data, clock), epoch)  # its fit cannot be told to stop by the clock
        print(config["model"], epoch, loss, flush=True)
        if clock.spent():
            break
    model.eval()
    return {"epochs": epoch + 1, "loss": loss}


def scorer(model, dataset, data):
    """Function of user numbers that gives scores of all products; unknown ones get -inf."""
    tokens = dataset.field2token_id["item_id"]
    known = np.array([n for n in range(len(data.products)) if f"i{n}" in tokens])
    columns = np.array([tokens[f"i{n}"] for n in known])
    users = dataset.field2token_id["user_id"]

    def scores(numbers):
        out = np.full((len(numbers), len(data.products)), -np.inf)
        asked = Interaction({"user_id": torch.tensor([users[f"u{u}"] for u in numbers])})
        with torch.no_grad():
            found = model.full_sort_predict(asked)
        found = (found[0] if isinstance(found, tuple) else found).numpy()
        out[:, known] = found[:, columns]
        return out

    return scores


def main():
    """The command."""
    args = exchange.arguments()
    settings = DEFAULTS | args.settings
    ours = {name: settings.pop(name) for name in DEFAULTS}
    clock = exchange.Clock(args.minutes / 2)
    work = Path(args.work)
    data = exchange.read(args.data)
    atomic.write_pairs(data, work)
    relations = atomic.write_graph(data, work)
    logging.disable(logging.INFO)
    clock.mark("prepare")

    config = configure("TransE", args, work, {})
    init_seed(args.seed, config["reproducibility"])
    pairs, _, _ = data_preparation(config, create_dataset(config))
    transe = get_model("TransE")(config, pairs._dataset)
    stages = {"transe": train(config, pairs, transe, ours["transe_epochs"], clock)}
    vectors = {
        f"{name}_embedding_id": getattr(transe, f"{name}_embedding").weight.detach().numpy().copy()
        for name in ("user", "entity", "relation")
    }
    clock.mark("transe")

    config = configure(args.model, args, work, {"path_constraint": patterns(args.model, relations), **settings})
    init_seed(args.seed, config["reproducibility"])
    users, _, _ = data_preparation(config, create_dataset(config))
    dataset = users._dataset
    dataset.get_preload_weight = vectors.__getitem__
    model = MODELS[args.model](config, dataset)
    model.rng = np.random.default_rng(args.seed)
    stages[args.model] = train(config, users, model, ours["epochs"], clock)
    clock.mark("train")
    exchange.write_lists(
        args.out, some_users(data, ours["test_users"], args.seed), scorer(model, dataset, data), args.k
    )
    clock.mark("lists")
    exchange.write_report(
        args.report,
        clock,
        versions=exchange.versions("hopwise", "torch", "numpy", "scipy", "pandas"),
        settings={k: v for k, v in config.final_config_dict.items() if isinstance(v, int | float | list)} | ours,
        stages=stages,
    )


def some_users(data, count, seed):
    """`data` with at most `count` test users."""
    if count is None or count >= len(data.test_users):
        return data
    chosen = np.sort(np.random.default_rng(seed).choice(data.test_users, count, replace=False))
    return replace(data, test_users=chosen)


if __name__ == "__main__":
    main()
