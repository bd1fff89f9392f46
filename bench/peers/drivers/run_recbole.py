"""Trains a RecBole model on an exported split and writes its lists; runs in RecBole's own environment."""

import logging
import time
from pathlib import Path

import atomic
import exchange
import numpy as np
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.data.interaction import Interaction
from recbole.model.knowledge_aware_recommender import kgat
from recbole.utils import get_model, get_trainer, init_seed
from scipy import sparse

SEQUENTIAL = {"SASRec"}
KNOWLEDGE = {"KGAT"}


class TimeUp(Exception):  # noqa: N818 - no error
    """The training time is spent."""


class KGAT(kgat.KGAT):
    """RecBole's KGAT without DGL, which it uses for the first attention matrix alone, in a form that DGL 1 dropped."""

    def __init__(self, config, dataset):
        whole = dataset.ckg_graph
        dataset.ckg_graph = lambda form="coo", value_field=None: whole("coo", value_field)  # noqa: ARG005
        super().__init__(config, dataset)

    def init_graph(self):
        """The same matrix: per relation the adjacency with rows that sum to one, added up; sparse (n, n)."""
        total = sparse.csr_matrix(tuple(self.matrix_size))
        for relation in range(1, self.n_relations):
            graph = self.ckg
            here = graph.data == relation
            part = sparse.csr_matrix(
                (np.ones(here.sum()), (graph.row[here], graph.col[here])), shape=tuple(self.matrix_size)
            )
            degree = np.asarray(part.sum(1)).ravel()
            total = total + sparse.diags(np.divide(1.0, degree, where=degree > 0, out=np.zeros_like(degree))) @ part
        coo = total.tocoo()
        places = torch.from_numpy(np.stack([coo.row, coo.col]).astype(np.int64))
        return torch.sparse_coo_tensor(places, torch.from_numpy(coo.data).float(), self.matrix_size).to(self.device)


def configure(args, work):
    """RecBole's configuration: its defaults for the model, what the exported files need, then `--settings`."""
    columns = ["user_id", "item_id"]
    given = {
        "data_path": str(work),
        "checkpoint_dir": str(work / "saved"),
        # the third part must exist; the driver never sees the true test
        "benchmark_filename": ["train", "valid", "valid"],
        "load_col": {"inter": columns},
        "eval_args": {"group_by": "user", "order": "RO", "mode": "full", "split": {"RS": [0.8, 0.1, 0.1]}},
        "topk": [10],
        "valid_metric": "NDCG@10",
        "seed": args.seed,
        "use_gpu": False,
        "show_progress": False,
        "state": "WARNING",
    }
    if args.model not in SEQUENTIAL:
        # in scores, not users: its default asks for one user at a time
        given["eval_batch_size"] = 2_000_000
    if args.model in SEQUENTIAL:
        given["load_col"] = {"inter": ["user_id", "item_id_list", "item_id"]}
        given |= {"alias_of_item_id": ["item_id_list"], "train_neg_sample_args": None}
        given["eval_args"]["order"] = "TO"
    if args.model in KNOWLEDGE:
        given["load_col"] |= {"kg": ["head_id", "relation_id", "tail_id"], "link": ["item_id", "entity_id"]}
    return Config(model=args.model, dataset=atomic.NAME, config_dict=given | args.settings)


def scorer(model, dataset, data):
    """Function of user numbers that gives scores of all products; those that RecBole does not know get -inf."""
    kept = set(dataset.field2token_id["item_id"])
    known = np.array([n for n in range(len(data.products)) if f"i{n}" in kept])
    columns = dataset.token2id("item_id", np.array([f"i{n}" for n in known]))
    users = set(dataset.field2token_id["user_id"])
    histories = data.histories()
    longest = dataset.config["MAX_ITEM_LIST_LENGTH"]

    def ask(numbers):
        if dataset.config["model"] not in SEQUENTIAL:
            return {"user_id": torch.from_numpy(dataset.token2id("user_id", np.array([f"u{u}" for u in numbers])))}
        lists = torch.zeros((len(numbers), longest), dtype=torch.long)
        for row, user in zip(lists, numbers, strict=True):
            last = [f"i{i}" for i in histories[user][-longest:]]
            row[: len(last)] = torch.from_numpy(dataset.token2id("item_id", np.array(last)))
        return {"item_id_list": lists, "item_length": (lists > 0).sum(1)}

    def scores(numbers):
        out = np.full((len(numbers), len(data.products)), -np.inf)
        here = np.array([f"u{u}" in users for u in numbers]) | (dataset.config["model"] in SEQUENTIAL)
        with torch.no_grad():
            found = model.full_sort_predict(Interaction(ask(numbers[here]))).view(here.sum(), -1).numpy()
        out[np.ix_(here, known)] = found[:, columns]
        return out

    return scores


def train(trainer, parts, clock, config):
    """Train until validation no longer rises, the last epoch, or the time is spent; says what, scores and epochs."""
    seen, spent = [], []
    run_epoch = trainer._train_epoch

    def timed(*args, **options):
        began = time.perf_counter(), time.process_time()
        result = run_epoch(*args, **options)
        spent.append((time.perf_counter() - began[0], time.process_time() - began[1]))
        return result

    trainer._train_epoch = timed

    def after_validation(epoch, score):
        wall, processor = (sum(column) for column in zip(*spent, strict=True))
        seen.append({"epoch": len(spent), "value": float(score), "seconds": wall, "processor_seconds": processor})
        print(epoch, round(float(score), 5), flush=True)
        if clock.spent():
            raise TimeUp

    try:
        trainer.fit(*parts, verbose=False, saved=True, callback_fn=after_validation)
    except TimeUp:
        return "time limit", seen
    whole = len(seen) >= config["epochs"] // config["eval_step"]
    return "last epoch" if whole else "validation no longer rose", seen


def main():
    """The command."""
    args = exchange.arguments()
    clock = exchange.Clock(args.minutes)
    work = Path(args.work)
    data = exchange.read(args.data)
    config = configure(args, work)
    if args.model in SEQUENTIAL:
        atomic.write_prefixes(data, work, config["MAX_ITEM_LIST_LENGTH"])
    else:
        atomic.write_pairs(data, work)
    if args.model in KNOWLEDGE:
        atomic.write_graph(data, work)
    init_seed(args.seed, config["reproducibility"])
    logging.disable(logging.INFO)
    dataset = create_dataset(config)
    *parts, _ = data_preparation(config, dataset)
    init_seed(args.seed, config["reproducibility"])
    model = (KGAT if args.model == "KGAT" else get_model(args.model))(config, parts[0]._dataset)
    trainer = get_trainer(config["MODEL_TYPE"], args.model)(config, model)
    clock.mark("prepare")
    ended, seen = train(trainer, parts, clock, config)
    clock.mark("train")
    saved = torch.load(trainer.saved_model_file, weights_only=False)
    model.load_state_dict(saved["state_dict"])
    model.load_other_parameter(saved.get("other_parameter"))
    model.eval()
    exchange.write_lists(args.out, data, scorer(model, dataset, data), args.k)
    clock.mark("lists")
    settings = {k: v for k, v in config.final_config_dict.items() if isinstance(v, int | float | str | list | dict)}
    exchange.write_report(
        args.report,
        clock,
        versions=exchange.versions("recbole", "torch", "numpy", "scipy", "pandas"),
        settings={k: v for k, v in settings.items() if k not in ("data_path", "checkpoint_dir")},
        ended=ended,
        validations=len(seen),
        curve=seen,
        best_valid={config["valid_metric"]: max(one["value"] for one in seen)},
        parameters=sum(p.numel() for p in model.parameters()),
    )


if __name__ == "__main__":
    main()
