"""Makes lists with Neo4j Graph Data Science, as an analyst does: FastRP vectors, or node similarity of products."""

import os
from itertools import product

import exchange
import neo4j
import numpy as np
from scipy import sparse

BATCH = 20_000
SETTINGS = {
    "fastRP": {
        "events": "all",
        "embeddingDimension": [256],
        "iterationWeights": [[0.0, 1.0, 1.0], [0.0, 1.0, 1.0, 1.0], [0.0, 1.0, 0.5, 0.25]],
        "normalizationStrength": [0.0, -0.5, -0.9],
    },
    "nodeSimilarity": {"events": "all", "topK": [10, 50, 200]},
}
"""Of lists of values the one that is best on valid by what train tells is used. `events`: what is known for the lists,
all (train and valid) or train."""


class Shop:
    """The graph in the server.

    Args:
        session: an open session.
        data: the split; its train pairs become TOOK, its triples LINK.
    """

    def __init__(self, session, data):
        self.session, self.data = session, data
        things = sorted((set(data.kg["head"]) | set(data.kg["tail"])) - set(data.products))
        row = {name: n for n, name in enumerate(data.products)}
        row |= {name: n + len(data.products) for n, name in enumerate(things)}
        self.fill("CREATE (:User {row: r})", [[n] for n in range(len(data.users))], "r[0] AS r")
        self.fill("CREATE (:Node:Product {row: r})", [[n] for n in range(len(data.products))], "r[0] AS r")
        self.fill("CREATE (:Node:Thing {row: r})", [[row[name]] for name in things], "r[0] AS r")
        self.ask("CREATE INDEX IF NOT EXISTS FOR (n:User) ON (n.row)")
        self.ask("CREATE INDEX IF NOT EXISTS FOR (n:Node) ON (n.row)")
        self.ask("CALL db.awaitIndexes()")
        self.know(data.train)
        links = [[row[h], row[t]] for h, t in zip(data.kg["head"], data.kg["tail"], strict=True)]
        link = "MATCH (x:Node {row: a}) MATCH (y:Node {row: b}) CREATE (x)-[:LINK]->(y)"
        self.fill(link, links, "r[0] AS a, r[1] AS b")
        self.places = {
            label: np.array(self.ask(f"MATCH (n:{label}) RETURN id(n), n.row ORDER BY n.row"))[:, 0]
            for label in ("User", "Product")
        }

    def know(self, events):
        """Add pairs of users and products; what was projected before is dropped."""
        pairs = events[["user", "product"]].to_numpy().tolist()
        took = "MATCH (x:User {row: a}) MATCH (y:Node {row: b}) CREATE (x)-[:TOOK]->(y)"
        self.fill(took, pairs, "r[0] AS a, r[1] AS b")
        self.ask("CALL gds.graph.drop('shop', false)")

    def ask(self, text, **parameters):
        """Rows of a query."""
        return [record.values() for record in self.session.run(text, **parameters)]

    def fill(self, what, rows, names):
        """Run `what` for every row, in batches."""
        for start in range(0, len(rows), BATCH):
            self.ask(f"UNWIND $rows AS r WITH {names} {what}", rows=rows[start : start + BATCH])

    def project(self, nodes, relations):
        """Make the in-memory graph `shop`."""
        self.ask("CALL gds.graph.project('shop', $nodes, $relations)", nodes=nodes, relations=relations)


def fastrp(shop, setting, seed):
    """Function of user numbers: cosine of the vectors of users and products."""
    if not shop.ask("RETURN gds.graph.exists('shop')")[0][0]:
        # a label or type of which there is none cannot be projected
        labels, types = ["User", "Product"], ["TOOK"]
        if len(shop.data.kg):
            labels, types = [*labels, "Thing"], [*types, "LINK"]
        shop.project(labels, {name: {"orientation": "UNDIRECTED"} for name in types})
    text = "CALL gds.fastRP.stream('shop', $given) YIELD nodeId, embedding RETURN nodeId, embedding"
    rows = shop.ask(text, given={**setting, "randomSeed": seed, "concurrency": 1})
    vectors = np.zeros((max(r[0] for r in rows) + 1, setting["embeddingDimension"]), np.float32)
    vectors[[r[0] for r in rows]] = [r[1] for r in rows]
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    users, products = (vectors[shop.places[label]] for label in ("User", "Product"))
    known = products.any(axis=1)

    def scores(numbers):
        return np.where(known, users[numbers] @ products.T, -np.inf)

    return scores


def similarity(shop, setting, seed):  # noqa: ARG001 - nothing is drawn
    """Function of user numbers: sum of the Jaccard similarities of a product with those of the user."""
    if not shop.ask("RETURN gds.graph.exists('shop')")[0][0]:
        shop.project(["User", "Product"], {"TOOK": {"orientation": "REVERSE"}})
    text = (
        "CALL gds.nodeSimilarity.stream('shop', $given) YIELD node1, node2, similarity RETURN node1, node2, similarity"
    )
    rows = np.array(shop.ask(text, given={**setting, "similarityMetric": "JACCARD", "concurrency": 1}))
    row = np.full(int(max(p.max() for p in shop.places.values())) + 1, -1)
    row[shop.places["Product"]] = np.arange(len(shop.places["Product"]))
    ends = row[rows[:, :2].astype(int)]
    size = len(shop.data.products)
    matrix = sparse.csr_matrix((rows[:, 2], (ends[:, 0], ends[:, 1])), shape=(size, size))
    return lambda numbers: _summed(matrix, shop.histories, numbers)


def _summed(matrix, histories, numbers):
    known = sparse.lil_matrix((len(numbers), matrix.shape[0]))
    for place, user in enumerate(numbers):
        known[place, histories[user]] = 1.0
    found = (known.tocsr() @ matrix).toarray()
    found[found == 0] = -np.inf
    return found


def ndcg(scores, data, k=10):
    """Mean NDCG@k of the valid pairs, train pairs masked; how a setting is chosen."""
    train = data.train.groupby("user")["product"].agg(list)
    wanted = data.valid.groupby("user")["product"].agg(list)
    discount = 1.0 / np.log2(np.arange(2, k + 2))
    found = []
    for start in range(0, len(wanted), exchange.BLOCK):
        users = wanted.index[start : start + exchange.BLOCK].to_numpy()
        block = np.array(scores(users))
        block[:, ~data.candidates] = -np.inf
        for values, user in zip(block, users, strict=True):
            values[train.get(user, [])] = -np.inf
            best = np.argpartition(-values, min(k, len(values) - 1))[:k]
            hits = np.isin(best[np.argsort(-values[best], kind="stable")], wanted[user])
            found.append((hits * discount).sum() / discount[: len(wanted[user])].sum())
    return float(np.mean(found))


def choose(shop, make, grid, seed):
    """The setting of `grid` with the greatest NDCG on valid, and all results."""
    shop.histories = [data.to_numpy() for data in _by_user(shop.data)]
    tried = []
    for values in product(*grid.values()):
        setting = dict(zip(grid, values, strict=True))
        tried.append((ndcg(make(shop, setting, seed), shop.data), setting))
        print(*tried[-1], flush=True)
    return max(tried, key=lambda pair: pair[0])[1], tried


def _by_user(data):
    groups = dict(list(data.train.groupby("user")["product"]))
    empty = data.train["product"].iloc[:0]
    return [groups.get(user, empty) for user in range(len(data.users))]


def main():
    """The command."""
    args = exchange.arguments()
    clock = exchange.Clock(args.minutes)
    data = exchange.read(args.data)
    grid = {**SETTINGS[args.model], **args.settings}
    known = grid.pop("events")
    make = {"fastRP": fastrp, "nodeSimilarity": similarity}[args.model]
    login = (os.environ["NEO4J_USERNAME"], os.environ["NEO4J_PASSWORD"])
    with neo4j.GraphDatabase.driver(os.environ["NEO4J_URL"], auth=login) as driver, driver.session() as session:
        version = session.run("RETURN gds.version()").single()[0]
        shop = Shop(session, data)
        clock.mark("load")
        setting, tried = choose(shop, make, grid, args.seed)
        clock.mark("choose")
        if known == "all":
            shop.know(data.valid)
        shop.histories = data.histories()
        scores = make(shop, setting, args.seed)
        clock.mark("train")
        exchange.write_lists(args.out, data, scores, args.k)
        clock.mark("lists")
        server = session.run("CALL dbms.components() YIELD versions RETURN versions[0]").single()[0]
    exchange.write_report(
        args.report,
        clock,
        versions={"gds": version, "neo4j": server},
        settings={"events": known, **setting},
        tried=tried,
    )


if __name__ == "__main__":
    main()
