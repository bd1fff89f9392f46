"""Times RecTools' metrics over lists in a NumPy archive: python run_rectools.py LISTS.npz REPEATS; prints JSON."""

import json
import sys
import time

import numpy as np
import pandas as pd
from rectools import metrics as m
from rectools.metrics import calc_metrics


def main() -> None:
    """Read, measure, print."""
    arrays, repeats = np.load(sys.argv[1]), int(sys.argv[2])
    reco = pd.DataFrame({name: arrays[f"reco_{name}"] for name in ("user_id", "item_id", "rank")})
    relevant = pd.DataFrame({name: arrays[f"relevant_{name}"] for name in ("user_id", "item_id")})
    history = pd.DataFrame({name: arrays[f"history_{name}"] for name in ("user_id", "item_id")})
    catalog = arrays["catalog"]
    chosen = {}
    for k in arrays["cutoffs"].tolist():
        chosen |= {
            f"recall@{k}": m.Recall(k=k),
            f"precision@{k}": m.Precision(k=k),
            f"f1@{k}": m.F1Beta(k=k),
            f"hit_rate@{k}": m.HitRate(k=k),
            f"ndcg@{k}": m.NDCG(k=k, divide_by_achievable=True),
            f"mrr@{k}": m.MRR(k=k),
            f"map@{k}": m.MAP(k=k),
        }
    k = int(arrays["cutoffs"].max())
    chosen |= {"coverage": m.CatalogCoverage(k=k, normalize=True), "novelty": m.MeanInvUserFreq(k=k)}
    seconds, values = [], {}
    for _ in range(repeats + 1):
        began = time.perf_counter()
        values = calc_metrics(chosen, reco, relevant, prev_interactions=history, catalog=catalog)
        seconds.append(time.perf_counter() - began)
    print(json.dumps({"seconds": seconds[1:], "values": {name: float(value) for name, value in values.items()}}))


if __name__ == "__main__":
    main()
