"""What peers are handed and what is taken back: no peer is installed or run here."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.peers.__main__ import main, of_protocol
from bench.peers.catalogue import PEERS
from bench.peers.environments import HERE, ready
from bench.peers.neutral import ExportOptions, PeerError, export
from bench.peers.run import DRIVERS, check, read_lists
from bench.quality.__main__ import MODELS
from bench.quality.protocols import NEEDS, PROTOCOLS, hindrance
from kg.neo4j_store.server import ServerOptions, _configuration

sys.path.insert(0, str(DRIVERS))  # drivers find each other as scripts do
import atomic
import exchange


def events(*rows: tuple[str, str, str], **columns: list[object]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["user_id", "product_id", "split"]).assign(event="purchase")
    return table.assign(**columns)


def exported(tmp_path: Path, table: pd.DataFrame, options: ExportOptions | None = None, **others: pd.DataFrame) -> Path:
    """The folder of the peers' files, `truth.csv` beside it."""
    source = tmp_path / "contract"
    source.mkdir()
    for name, frame in {"events": table, **others}.items():
        frame.to_parquet(source / f"{name}.parquet", index=False)
    export(source, tmp_path / "export", tmp_path / "truth.csv", options)
    return tmp_path / "export"


def pairs(path: Path) -> list[tuple[str, str]]:
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    return list(zip(table["user_id"], table["product_id"], strict=True))


def test_a_split_becomes_pairs_in_order_and_the_answers_stay_outside(tmp_path: Path) -> None:
    table = events(
        ("u1", "b", "train"), ("u1", "a", "train"), ("u1", "c", "valid"), ("u1", "d", "test"),
        ("u2", "d", "train"), ("u3", "a", "test"),
        sequence=[2, 1, 3, 4, 1, 1],
    )  # fmt: skip
    folder = exported(tmp_path, table)
    assert pairs(folder / "train.csv") == [("u1", "a"), ("u1", "b"), ("u2", "d")]
    assert pairs(folder / "valid.csv") == [("u1", "c")]
    # u3 has no history: nothing can be asked of them
    assert pd.read_csv(folder / "test_users.csv")["user_id"].tolist() == ["u1"]
    assert pairs(tmp_path / "truth.csv") == [("u1", "d")]
    assert sorted(path.name for path in folder.iterdir()) == [
        "kg.csv", "products.csv", "test_users.csv", "train.csv", "valid.csv",
    ]  # fmt: skip


def test_a_pair_counts_where_it_first_stands(tmp_path: Path) -> None:
    table = events(
        ("u", "a", "train"), ("u", "a", "test"), ("u", "b", "valid"), ("u", "a", "valid"), ("u", "c", "test")
    )
    folder = exported(tmp_path, table)
    assert pairs(folder / "train.csv") == [("u", "a")]
    assert pairs(folder / "valid.csv") == [("u", "b")]
    assert pairs(tmp_path / "truth.csv") == [("u", "c")]


def test_cut_offs_part_events_without_labels(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "user_id": "u",
            "product_id": ["a", "b", "c"],
            "event": "purchase",
            "time": ["2017-07-31T23:59:59", "2017-08-01T00:00:00", "2017-10-15T00:00:00"],
        }
    )
    options = ExportOptions(valid_from="2017-08-01", test_from="2017-10-15")
    folder = exported(tmp_path, table, options)
    found = [pairs(path) for path in (folder / "train.csv", folder / "valid.csv", tmp_path / "truth.csv")]
    assert found == [[("u", "a")], [("u", "b")], [("u", "c")]]


def test_events_that_nothing_parts_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(PeerError, match="nothing parts the events"):
        exported(tmp_path, events(("u", "a", ""), ("u", "b", "")))


def test_purchases_come_before_views(tmp_path: Path) -> None:
    table = events(("u", "a", "train"), ("u", "b", "train"), ("u", "c", "valid"), ("u", "d", "test"))
    folder = exported(tmp_path, table.assign(event=["view", "purchase", "Purchase", "purchase"]))
    assert pairs(folder / "train.csv") == [("u", "b")]


def test_candidates_have_buyers_and_may_be_recommended(tmp_path: Path) -> None:
    table = events(
        ("u1", "a", "train"), ("u2", "a", "valid"), ("u1", "b", "train"), ("u1", "fuel", "train"),
        ("u2", "fuel", "train"), ("u1", "c", "test"), ("u2", "b", "test"),
    )  # fmt: skip
    products = pd.DataFrame({"product_id": ["a", "b", "fuel"], "recommendable": [True, True, False]})
    folder = exported(tmp_path, table, ExportOptions(min_buyers=2), products=products)
    found = pd.read_csv(folder / "products.csv").set_index("product_id")["candidate"].to_dict()
    assert found == {"a": 1, "b": 0, "c": 0, "fuel": 0}
    assert pairs(tmp_path / "truth.csv") == []


def test_without_valid_rows_a_seeded_share_is_set_aside(tmp_path: Path) -> None:
    table = events(*((f"u{n}", "a", "train") for n in range(200)), *((f"u{n}", "b", "test") for n in range(200)))
    folder = exported(tmp_path, table, ExportOptions(valid_share=0.5, seed=3))
    train, valid = pairs(folder / "train.csv"), pairs(folder / "valid.csv")
    assert sorted(train + valid) == sorted((f"u{n}", "a") for n in range(200))
    assert len(valid) == (np.random.default_rng(3).random(200) < 0.5).sum()


def test_triples_name_products_by_id_and_other_things_by_type(tmp_path: Path) -> None:
    table = events(("u", "a", "train"), ("u", "b", "valid"), ("u", "c", "test"))
    products = pd.DataFrame({"product_id": ["a"], "brand": ["b"], "category": ["Food > Fruit;Sale"]})
    triples = pd.DataFrame(
        {
            "head": ["a", "a", "a", "a"],
            "relation": ["like", "from", "like", "also_bought"],
            "tail": ["b", "Rome", "b", "c"],
            "tail_type": ["", "City", "word", "product"],
        }
    )
    folder = exported(tmp_path, table, products=products, triples=triples)
    found = set(pd.read_csv(folder / "kg.csv").itertuples(index=False, name=None))
    assert found == {
        ("a", "made_by", "brand:b"),
        ("a", "in_category", "category:Food > Fruit"),
        ("category:Food > Fruit", "child_of", "category:Food"),
        ("a", "in_category", "category:Sale"),
        ("a", "like", "b"),
        ("a", "from", "city:Rome"),
        ("a", "like", "word:b"),
    }


@pytest.mark.parametrize(
    ("name", "tables", "options"),
    [
        ("complete-journey", "workspace/tables", ExportOptions("2017-08-01", "2017-10-15", 5)),
        ("beauty-loo", "contract", ExportOptions()),
        ("beauty-loo-related", "contract", ExportOptions(exclude_relations=())),
    ],
)
def test_a_protocol_says_what_its_peers_get(
    name: str, tables: str, options: ExportOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "beauty" / "contract").mkdir(parents=True)
    built = {
        data: SimpleNamespace(folder=tmp_path / data, tables=tmp_path / data / "workspace" / "tables")
        for data in ("beauty", "complete-journey")
    }
    monkeypatch.setattr("bench.peers.__main__.prepare", lambda data, _: built[data.name])
    protocol = PROTOCOLS[name]
    assert of_protocol(protocol) == (tmp_path / protocol.data / tables, name, options)


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["--protocol", "beauty-loo", "--min-buyers", "3"], "--protocol says"),
        (["--protocol", "beauty-loo", "--data", "folder"], "not allowed with"),
        ([], "is required"),
        (["--protocol", "unheard-of"], "invalid choice"),
    ],
)
def test_words_that_contradict_each_other_are_refused(
    words: list[str], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["gds-fastrp", *words])
    assert fault in capsys.readouterr().err


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("uvw"), st.sampled_from("abcd"), st.sampled_from(["train", "valid", "test"])))
)
def test_no_pair_stands_on_two_sides(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]]
) -> None:
    tmp_path = tmp_path_factory.mktemp("split")
    rows = [*rows, ("u", "e", "train"), ("u", "f", "valid")]
    folder = exported(tmp_path, events(*rows))
    parts = [pairs(path) for path in (folder / "train.csv", folder / "valid.csv", tmp_path / "truth.csv")]
    flat = [pair for part in parts for pair in part]
    assert len(flat) == len(set(flat))
    assert set(parts[0]) == {(u, p) for u, p, side in rows if side == "train"}
    assert set(flat) <= {(u, p) for u, p, _ in rows}


def small(tmp_path: Path) -> tuple[Path, exchange.Data]:
    """u1 took a, b and (valid) c; u2 took d; both are asked; e is no candidate."""
    table = events(
        ("u1", "a", "train"), ("u1", "b", "train"), ("u1", "c", "valid"), ("u2", "d", "train"),
        ("u1", "d", "test"), ("u2", "a", "test"), ("u3", "e", "train"), ("u3", "d", "valid"),
    )  # fmt: skip
    products = pd.DataFrame({"product_id": list("abcdef"), "recommendable": [True] * 4 + [False, True]})
    triples = pd.DataFrame({"head": ["a", "b"], "relation": "by", "tail": ["x y", "x y"]})
    folder = exported(tmp_path, table, products=products, triples=triples)
    return folder, exchange.read(folder)


def test_a_driver_reads_histories_with_valid_last(tmp_path: Path) -> None:
    _, data = small(tmp_path)
    found = {user: [data.products[p] for p in items] for user, items in zip(data.users, data.histories(), strict=True)}
    assert found == {"u1": ["a", "b", "c"], "u2": ["d"], "u3": ["e", "d"]}
    assert [data.users[u] for u in data.test_users] == ["u1", "u2"]


def test_lists_leave_out_what_is_known_or_no_candidate(tmp_path: Path) -> None:
    folder, data = small(tmp_path)
    #              a    b    c    d    e    f
    row = np.array([0.5, 0.9, 0.8, 0.5, 1.0, np.nan])
    exchange.write_lists(tmp_path / "lists.csv", data, lambda users: np.tile(row, (len(users), 1)), 2)
    lists = read_lists(tmp_path / "lists.csv", 2)
    found = list(lists.itertuples(index=False, name=None))
    assert found == [("u1", 1, "d", 0.5), ("u2", 1, "b", 0.9), ("u2", 2, "c", 0.8)]
    check(lists, folder)


def test_equal_scores_stand_in_the_order_of_products(tmp_path: Path) -> None:
    _, data = small(tmp_path)
    exchange.write_lists(tmp_path / "lists.csv", data, lambda users: np.ones((len(users), 6)), 50)
    lists = read_lists(tmp_path / "lists.csv", 50)
    assert lists.loc[lists["user_id"] == "u2", "product_id"].tolist() == ["a", "b", "c", "f"]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (("u1", "a"), "knows"), (("u1", "c"), "knows"), (("u1", "e"), "no candidate"), (("u3", "a"), "not asked"),
        (("u2", "a"), "twice"),
    ],
)  # fmt: skip
def test_lists_that_were_not_asked_for_are_refused(tmp_path: Path, row: tuple[str, str], fault: str) -> None:
    folder, _ = small(tmp_path)
    lists = pd.DataFrame([("u2", "a"), row], columns=["user_id", "product_id"])
    with pytest.raises(PeerError, match=fault):
        check(lists, folder)


@pytest.mark.parametrize("ranks", [[1, 3], [2, 3], [1, 1], [1, 2, 3]])
def test_ranks_count_from_one_to_k(tmp_path: Path, ranks: list[int]) -> None:
    path = tmp_path / "lists.csv"
    frame = pd.DataFrame(
        {"user_id": "u", "rank": ranks, "product_id": [f"p{n}" for n in range(len(ranks))], "score": 0.0}
    )
    frame.to_csv(path, index=False)
    with pytest.raises(PeerError, match="wrong ranks"):
        read_lists(path, 2)


def test_ids_keep_their_zeros_and_empty_looks(tmp_path: Path) -> None:
    folder = exported(tmp_path, events(("007", "NA", "train"), ("007", "1e3", "valid"), ("007", "00", "test")))
    data = exchange.read(folder)
    assert (data.users, data.products) == (["007"], ["00", "1e3", "NA"])
    exchange.write_lists(tmp_path / "lists.csv", data, lambda users: np.ones((len(users), 3)), 9)
    assert read_lists(tmp_path / "lists.csv", 9)["product_id"].tolist() == ["00"]


def lines(work: Path, ending: str) -> list[str]:
    return (work / atomic.NAME / f"{atomic.NAME}.{ending}").read_text().splitlines()[1:]


def test_a_sequence_becomes_its_prefixes(tmp_path: Path) -> None:
    _, data = small(tmp_path)
    atomic.write_prefixes(data, tmp_path, longest=1)
    assert lines(tmp_path, "train.inter") == ["u0\ti0\ti1"]
    # the pair before, be it of train, leads to the valid one
    assert lines(tmp_path, "valid.inter") == ["u0\ti1\ti2", "u2\ti4\ti3"]


def test_products_without_triples_get_one_and_only_seen_ones_are_items(tmp_path: Path) -> None:
    _, data = small(tmp_path)
    assert atomic.write_graph(data, tmp_path) == ["r0"]
    assert lines(tmp_path, "kg") == [
        "p0\tr0\te0", "p1\tr0\te0", *(f"p{n}\tin_catalogue\tcatalogue" for n in (2, 3, 4, 5)),
    ]  # fmt: skip
    assert lines(tmp_path, "link") == [f"i{n}\tp{n}" for n in range(5)]


def test_every_peer_has_its_driver_and_pinned_packages() -> None:
    for peer in PEERS.values():
        assert (DRIVERS / f"{peer.driver}.py").is_file()
        json.dumps(dict(peer.settings))
        if peer.environment:
            assert (HERE / f"{peer.environment}.txt").is_file()
    for path in HERE.glob("*.txt"):
        for line in path.read_text().splitlines():
            assert line.startswith("#") or "==" in line
            assert "/" not in line
            assert "@" not in line


def test_the_scoreboard_names_peers_as_they_are_called() -> None:
    # a name that is neither would hinder nothing, and nobody would notice
    assert set(NEEDS) - set(MODELS) <= set(PEERS)
    related = PROTOCOLS["beauty-loo-related"].only
    assert related <= {*MODELS, *PEERS}
    assert hindrance("recbole-kgat", PROTOCOLS["tmall"]) == "not applicable: the data has no relations"


def test_drivers_know_nothing_of_this_project() -> None:
    ours = {"bench", "gnn", "kg", "ingest", "encoders", "shopgraph"}
    for path in DRIVERS.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [n.name for n in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert ours.isdisjoint(name.split(".")[0] for name in names), path.name


def test_an_environment_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def pretend(command: list[str]) -> None:
        commands.append(command)
        if command[1:3] == ["-m", "venv"]:
            home = Path(command[3])
            (home / "bin").mkdir(parents=True)
            (home / "lib" / "python3.x" / "site-packages").mkdir(parents=True)
            (home / "bin" / "python").touch()

    monkeypatch.setattr("bench.peers.environments._run", pretend)
    python = ready("recbole", tmp_path)
    assert python == tmp_path / "recbole" / "bin" / "python"
    below = (tmp_path / "recbole" / "lib" / "python3.x" / "site-packages" / "below.pth").read_text().strip()
    assert below == str(tmp_path / "torch" / "lib" / "python3.x" / "site-packages")
    assert len(commands) == 4
    ready("recbole", tmp_path)
    assert len(commands) == 4


def test_only_a_server_that_asks_for_plug_ins_lets_their_procedures_run() -> None:
    plain = _configuration(ServerOptions()).splitlines()
    asked = _configuration(ServerOptions(procedures="gds.*")).splitlines()
    assert not any("unrestricted" in line for line in plain)
    added = set(asked) - set(plain)
    assert added == {
        "dbms.security.procedures.unrestricted=gds.*",
        "dbms.security.procedures.allowlist=db.*,dbms.components,dbms.routing.*,gds.*",
    }
