"""What a picture of a neighbourhood shows: the nearest of each kind, not the thousands that a graph has."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kg.property_names import property_name
from kg.runs import current_run
from kg.schema import EVENT_TYPES, LABELS, RELATIONSHIPS, WRITTEN_BACK
from kg.stores import Store
from shopgraph.errors import AppError

Node = tuple[str, str]
"""Label and id."""

PICTURED = (
    *EVENT_TYPES.values(), "MADE_BY", "IN_CATEGORY", "CHILD_OF", "VARIANT_OF", "RELATED", "APPLIES_TO", "SIMILAR",
)  # fmt: skip
"""Relationship types of a picture; orders and campaigns say little about a product."""
LATER = 3
"""Most neighbours of each kind from the second hop on."""
MOST = 60
"""Nodes that are looked around at each hop."""
JOINED = 3
"""Column of what joins one product to another; an aisle has a category on either side of it."""
RECOMMENDED = 5

_PATHS: dict[tuple[str, int], tuple[tuple[str, int], ...]] = {
    ("bought-before", 2): (("User", 0), ("Product", RECOMMENDED)),
    ("same-category", 4): (("User", 0), ("Product", 1), ("Category", JOINED), ("Product", RECOMMENDED)),
    ("same-brand", 4): (("User", 0), ("Product", 1), ("Brand", JOINED), ("Product", RECOMMENDED)),
    ("same-aisle", 6): (
        ("User", 0), ("Product", 1), ("Category", 2), ("Category", JOINED), ("Category", 4), ("Product", RECOMMENDED),
    ),
    ("related", 4): (("User", 0), ("Product", 1), ("Entity", JOINED), ("Product", RECOMMENDED)),
    ("related", 3): (("User", 0), ("Product", 1), ("Product", RECOMMENDED)),
    ("bought-together", 4): (("User", 0), ("Product", 1), ("User", JOINED), ("Product", RECOMMENDED)),
}  # fmt: skip
"""Label and column of each node of a reason's evidence, by its kind and length."""


@dataclass
class Shown:
    """A node of a picture.

    Attributes:
        column: its place from left to right.
        role: what its colour tells: `centre`, `recommended`, or its label.
        rank: its place in the user's list, 0 where it has none.
        note: more about it, shown on demand.
    """

    column: int
    role: str
    note: str = ""
    rank: int = 0


@dataclass(frozen=True)
class Link:
    """A relationship of a picture, or several of the same type between two nodes.

    Attributes:
        source: where it begins.
        target: where it ends.
        type: relationship type.
        times: how many there are.
    """

    source: Node
    target: Node
    type: str
    times: int = 1


@dataclass(frozen=True)
class Reason:
    """Why a product is recommended.

    Attributes:
        product: its id.
        rank: its place in the list, 0 where it is in none.
        kind: of the reason.
        sentence: in words.
        evidence: node ids along the path, user first.
    """

    product: str
    rank: int
    kind: str
    sentence: str
    evidence: Sequence[str]


@dataclass
class Net:
    """What a picture shows.

    Attributes:
        centre: the node that it is about.
        nodes: nodes in the order in which they were found.
        links: relationships, none twice.
        marked: pairs of nodes that lie on a reason's path.
        titles: what people call the nodes.
    """

    centre: Node
    nodes: dict[Node, Shown] = field(default_factory=dict)
    links: dict[tuple[Node, Node, str], Link] = field(default_factory=dict)
    marked: set[frozenset[Node]] = field(default_factory=set)
    titles: dict[Node, str] = field(default_factory=dict)

    def link(self, link: Link) -> None:
        """Add a relationship unless it is there."""
        self.links.setdefault((link.source, link.target, link.type), link)


def product_net(store: Store, product: str, hops: int, limit: int) -> Net:
    """A product with its users to the left and the rest to the right.

    Raises:
        AppError: no such product.
    """
    net = _begin(store, ("Product", product), "--product")
    frontier = [net.centre]
    for hop in range(1, hops + 1):
        found: list[Node] = []
        for node in frontier[:MOST]:
            for other, link in _around(store, node, limit if hop == 1 else LATER):
                if hop > 1 and _crowds(net, node, other, link):
                    continue
                if other not in net.nodes:
                    left = net.nodes[node].column < 0 or (node == net.centre and other[0] == "User")
                    net.nodes[other] = Shown(-hop if left else hop, other[0])
                    if link.type != "VARIANT_OF":  # what surrounds a variant is much the same
                        found.append(other)
                net.link(link)
        frontier = found
    _name(store, net)
    return net


def _crowds(net: Net, node: Node, other: Node, link: Link) -> bool:
    """Whether a relationship of a later hop says little beside those of the first.

    Other shoppers of what surrounds the product, variants of its variants, and what stands in one column are alike.
    """
    right, shown = net.nodes[node].column > 0, net.nodes.get(other)
    away = right and other[0] in ("User", "Coupon")
    return away or link.type == "VARIANT_OF" or (shown is not None and shown.column == net.nodes[node].column)


def user_net(store: Store, user: str, hops: int, limit: int, reasons: Sequence[Reason], marked: str | None) -> Net:
    """A user, the products that the user had most, and the recommended ones with the paths that lead to them.

    Args:
        store: the graph.
        user: the user's id.
        hops: from 2 on also what the user's products are joined to.
        limit: most products of each kind.
        reasons: the user's recommendations.
        marked: the product whose path is marked; None: of all.

    Raises:
        AppError: no such user.
    """
    net = _begin(store, ("User", user), "--user")
    for reason in reasons:
        net.nodes[("Product", reason.product)] = Shown(RECOMMENDED, "recommended", reason.sentence, reason.rank)
    for reason in reasons:
        _path(net, reason, mark=marked in (None, reason.product))
    _had(store, net)
    own = [node for node, shown in net.nodes.items() if shown.column == 1]
    for other, link in _around(store, net.centre, max(limit, len(own))):
        if other not in net.nodes and len(own) < limit:
            net.nodes[other] = Shown(1, other[0])
            own.append(other)
        if other in own:
            net.link(link)
    _beyond(store, net, own, hops)
    _name(store, net)
    return net


def _beyond(store: Store, net: Net, frontier: list[Node], hops: int) -> None:
    """Add what a user's products are joined to, but for what belongs to the picture of a product."""
    for hop in range(2, hops + 1):
        found: list[Node] = []
        for node in frontier[:MOST]:
            for other, link in _around(store, node, LATER):
                if other[0] in ("User", "Coupon") or link.type == "SIMILAR":
                    continue
                if other not in net.nodes:
                    net.nodes[other] = Shown(min(hop, RECOMMENDED - 1), other[0])
                    found.append(other)
                net.link(link)
        frontier = found


def published(store: Store, user: str, limit: int) -> list[Reason]:
    """The user's recommendations of the current run, best first."""
    rows = store.run(
        "MATCH (run:Run) WHERE run.current MATCH (:User {id: $user})-[r:RECOMMENDED]->(p:Product) "
        "WHERE r.run = run.id RETURN p.id, r.rank, r.reason_kind, r.reason, r.evidence ORDER BY r.rank LIMIT $limit",
        {"user": user, "limit": limit},
    ).rows
    return [Reason(*row) for row in rows]


def _path(net: Net, reason: Reason, *, mark: bool) -> None:
    """Add the nodes and relationships of a reason's evidence."""
    steps = _PATHS.get((reason.kind, len(reason.evidence)))
    if steps is None:
        return
    nodes = [(label, node) for (label, _), node in zip(steps, reason.evidence, strict=True)]
    for node, (label, column) in zip(nodes, steps, strict=True):
        net.nodes.setdefault(node, Shown(column, label))
    for at, (one, other) in enumerate(itertools.pairwise(nodes)):
        if mark:
            net.marked.add(frozenset((one, other)))
        net.link(_step(one, other, at, len(nodes)))


def _step(one: Node, other: Node, at: int, length: int) -> Link:
    """The relationship between two neighbours on a path."""
    labels = {one[0], other[0]}
    if labels == {"Category"}:
        return Link(one, other, "CHILD_OF") if at < length // 2 else Link(other, one, "CHILD_OF")
    for label, kind in (("Category", "IN_CATEGORY"), ("Brand", "MADE_BY")):
        if label in labels:
            return Link(one, other, kind) if other[0] == label else Link(other, one, kind)
    if "User" in labels:
        return Link(one, other, "had") if one[0] == "User" else Link(other, one, "had")
    return Link(one, other, "RELATED")


def _had(store: Store, net: Net) -> None:
    """Put what users did with the products of the paths in the place of `had`."""
    pairs = [key for key in net.links if key[2] == "had"]
    for user in {source for source, _, _ in pairs}:
        ids = sorted({target[1] for source, target, _ in pairs if source == user})
        for kind in EVENT_TYPES.values():
            query = (
                f"MATCH (u:User)-[r:`{kind}`]->(p:Product) WHERE u.id = $user AND p.id IN $ids "
                "RETURN p.id AS product, count(*) AS times"
            )
            for product, times in store.run(query, {"user": user[1], "ids": ids}).rows:
                net.links.pop((user, ("Product", product), "had"), None)
                net.link(Link(user, ("Product", product), kind, int(times)))


def _begin(store: Store, node: Node, option: str) -> Net:
    label, node_id = node
    if not store.run(f"MATCH (n:`{label}`) WHERE n.id = $id RETURN n.id", {"id": node_id}).rows:
        raise AppError(f"unknown {label.lower()} {node_id!r}", option, "see the ids with shopgraph query")
    return Net(node, {node: Shown(0, "centre")})


def _around(store: Store, node: Node, limit: int) -> Iterator[tuple[Node, Link]]:
    """Neighbours of each kind: those with the most relationships, or of the best rank."""
    label, node_id = node
    run = current_run(store)
    for kind in PICTURED:
        for source, target in RELATIONSHIPS[kind].endpoints:
            for forward in (True, False):
                if (source if forward else target) != label or (kind == "SIMILAR" and (not forward or run is None)):
                    continue
                here, there = ("a", "b") if forward else ("b", "a")
                of_run = " AND r.run = $run" if kind in WRITTEN_BACK else ""
                order = "best" if kind in WRITTEN_BACK else "times DESC"
                best = ", min(r.rank) AS best" if kind in WRITTEN_BACK else ""
                query = (
                    f"MATCH (a:`{source}`)-[r:`{kind}`]->(b:`{target}`) WHERE {here}.id = $id{of_run} "
                    f"RETURN {there}.id AS other, count(*) AS times{best} ORDER BY {order}, other LIMIT $limit"
                )
                given = {"id": node_id, "limit": limit} | ({"run": run} if of_run else {})
                for other_id, times, *_ in store.run(query, given).rows:
                    other = (target if forward else source, str(other_id))
                    yield other, Link(*((node, other) if forward else (other, node)), kind, int(times))


def _name(store: Store, net: Net) -> None:
    """What people call the nodes: title or name, of a category its own part of the path; else the id."""
    for label in {label for label, _ in net.nodes}:
        known = LABELS[label].properties
        named = next((name for name in ("title", "name") if name in known), "id")
        ids = [node for kind, node in net.nodes if kind == label]
        query = f"MATCH (n:`{label}`) WHERE n.id IN $ids RETURN n.id, n.{property_name(named)}"
        for node_id, title in store.run(query, {"ids": ids}).rows:
            net.titles[label, str(node_id)] = str(title or node_id)
