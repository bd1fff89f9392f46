"""The README's picture of one household: its products, what joins them to a recommended one, the reason marked.

python -m bench.figure_neighbourhood [--workspace shopgraph-workspace] [--user ID]
"""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import networkx as nx
from matplotlib.axes import Axes

from gnn.serving.explain import Explainer, Explanation
from ingest.progress import SilentProgress
from shopgraph.cli.demo import middling
from shopgraph.serving import load_model
from shopgraph.stations import current_snapshot
from shopgraph.workspace import Workspace

COLOURS = {"household": "#f2c894", "bought": "#a9cfe8", "via": "#d3b8e0", "recommended": "#b5dbb0"}
HALF_BOX = 0.95
JOINS = {"same-brand": "brand: ", "same-category": "category: ", "same-aisle": "aisle: "}


def build(explanations: list[Explanation], user: str) -> tuple[nx.Graph, dict[str, tuple[float, float]]]:
    """The graph of the paths in four columns: household, bought products, what joins, recommended products."""
    graph: nx.Graph = nx.Graph()
    columns: dict[str, list[str]] = {kind: [] for kind in COLOURS}

    def node(key: str, kind: str, text: str) -> str:
        if key not in graph:
            graph.add_node(key, kind=kind, text="\n".join(textwrap.wrap(text, 22)))
            columns[kind].append(key)
        return key

    household = node(f"user {user}", "household", f"household {user}")
    for found in explanations:
        target = node(f"rec {found.product_id}", "recommended", found.product_name)
        for rank, path in enumerate(found.paths):
            bought = node(f"had {path.product_id}", "bought", path.product_name)
            name = path.via_name or f"{path.shared:,} households bought both"
            via = node(f"via {path.kind} {name}", "via", JOINS.get(path.kind, "") + name)
            marked = rank == 0
            for pair in ((household, bought), (bought, via), (via, target)):
                before = graph.edges[pair]["marked"] if graph.has_edge(*pair) else False
                graph.add_edge(*pair, marked=marked or before)
    order = {key: at for at, key in enumerate(columns["via"])}
    columns["bought"].sort(key=lambda key: min(order[v] for v in graph[key] if v in order))
    places: dict[str, tuple[float, float]] = {}
    for x, keys in enumerate(columns.values()):
        for y, key in enumerate(keys):
            places[key] = (x * 3.0, -(y + 0.5) / max(1, len(keys)) * 9.0)
    return graph, places


def draw(graph: nx.Graph, places: dict[str, tuple[float, float]], out: Path) -> None:
    """Draw the columns; the paths that became reasons are thick and red."""
    figure, axes = plt.subplots(figsize=(11.2, 6.4), dpi=160)
    axes_: Axes = axes
    for marked, colour, width in ((False, "#b9c0c6", 1.0), (True, "#c0392b", 2.6)):
        for pair in graph.edges:
            if graph.edges[pair]["marked"] is marked:
                (x, y), (x2, y2) = sorted((places[pair[0]], places[pair[1]]))
                axes_.plot((x + HALF_BOX, x2 - HALF_BOX), (y, y2), color=colour, lw=width, zorder=2)
                axes_.plot((x, x + HALF_BOX), (y, y), color=colour, lw=width, zorder=2)
                axes_.plot((x2 - HALF_BOX, x2), (y2, y2), color=colour, lw=width, zorder=2)
    for key, (x, y) in places.items():
        kind = graph.nodes[key]["kind"]
        box = {"boxstyle": "round,pad=0.45", "fc": COLOURS[kind], "ec": "#555", "lw": 0.9}
        axes_.text(x, y, graph.nodes[key]["text"], ha="center", va="center", fontsize=8.2, bbox=box, zorder=3)
    for x, title in enumerate(("household", "it bought", "what joins them", "recommended")):
        axes_.text(x * 3.0, 0.35, title, ha="center", fontsize=10.5, weight="bold")
    axes_.set_xlim(-1.2, 10.3)
    axes_.set_ylim(-9.1, 0.8)
    axes_.axis("off")
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, bbox_inches="tight", facecolor="white")
    plt.close(figure)


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, default=Path("shopgraph-workspace"))
    parser.add_argument("--user")
    parser.add_argument("--products", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("docs/images/neighbourhood.png"))
    args = parser.parse_args()
    workspace = Workspace(args.workspace)
    snapshot = current_snapshot(workspace, None, SilentProgress())
    model = load_model(workspace, snapshot)
    user = args.user or middling(snapshot)
    products = model.recommend([user], args.products)["product_id"].tolist()
    draw(*build(Explainer(model, 3).explain_all(user, products), user), args.out)


if __name__ == "__main__":
    main()
