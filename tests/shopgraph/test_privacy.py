"""Where personal data goes: contact values nowhere, a user's id to the places that the registry lists and no other."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from ingest.contract import EVENTS
from kg.schema import LABELS, RELATIONSHIPS
from kg.stores import Store, open_store
from shopgraph.cli.main import app
from shopgraph.personal_places import as_markdown, personal_places

ROOT = Path(__file__).parents[2]
USER = "zz-planted-user"
CANARY = "canary-"
KEY = "0123456789abcdef0123456789abcdef"


@dataclass(frozen=True)
class Ran:
    """What commands left: the folder with the workspace `w` and what they wrote and said."""

    root: Path

    @property
    def workspace(self) -> Path:
        return self.root / "w"


def command(root: Path, name: str, *words: str) -> None:
    """Run a command in this process; what it says is kept in files that are searched as well."""
    done = CliRunner().invoke(app, [*words, "--workspace", str(root / "w")])
    (root / f"said-{name}.txt").write_text(done.output + done.stderr)
    assert done.exit_code == 0, done.output


def write_shop(folder: Path) -> None:
    """Thirty users of two tastes; the planted one is in every table, contact values are in every table of people."""
    folder.mkdir(parents=True)
    draw = np.random.default_rng(5)
    products = "product_id,title\n" + "".join(f"p{i:02d},{('coffee', 'tea')[i % 2]} {i}\n" for i in range(24))
    head = "user_id,account_id,product_id,event,time,quantity,order_id,query,phone,contact\n"
    events = [
        f"{USER if user == 7 else f'u{user:02d}'},,p{p:02d},purchase,2024-03-{day + 1:02d},1,o{user}-{day},,{CANARY},\n"
        for user in range(30)
        for day, p in enumerate(draw.choice(np.arange(user % 2, 24, 2), 10, replace=False))
    ]
    for event in EVENTS:
        named = "" if event == "search" else "p01"
        asked = "tea" if event == "search" else ""
        events.append(f"{USER},{USER},{named},{event},2024-03-10,1,,{asked},{CANARY}2,me: x@{CANARY}3.org\n")
    events.append(f"{USER},,nowhere,purchase,2024-03-02,1,,,{CANARY}4,\n")
    events.append(f"{USER},,p01,purchase\n")
    files = {
        "products.csv": products,
        "events.csv": head + "".join(events),
        "users.csv": f"user_id,e-mail,First Name,age\n{USER},x@{CANARY}5.org,{CANARY}6,30\nu01,,,5\n"
        f"{USER},x@{CANARY}7.org,{CANARY}8,31\n{USER.upper()},,,4\n{USER},{CANARY}9,one too many,,1,2\n"
        f",{CANARY}10,,\n",
        "accounts.csv": f"account_id,user_id,channel,email,name,loyalty_id,hometown\n"
        f"{USER},{USER},web,x@{CANARY}11.org,{CANARY}12,{CANARY}13,Ely\nsecond,{USER},app,x@{CANARY}14.org,,,\n"
        f"{USER},{USER},web,x@{CANARY}15.org,,,\n,{USER},web,{CANARY}16,{CANARY}17,,\n{USER},{CANARY}18,{CANARY}19\n",
        "campaigns.csv": f"campaign_id,user_id,email\nc1,{USER},{CANARY}20\n,{USER},{CANARY}21\n",
        "coupons.csv": "coupon_id,product_id,campaign_id\nk1,p01,c1\n",
        "redemptions.csv": f"user_id,coupon_id,mobile,time\n{USER},k1,{CANARY}22,2024-03-05\n{USER},,{CANARY}23,\n",
        "removals.csv": f"table,id,time\nusers,{USER},1991-01-01\nusers,{USER},1991-01-01,3\n",
        "triples.csv": f"head,relation,tail,head_type,tail_type,time\n{USER},likes,p01,user,,2024-03-05\n"
        f"p02,liked by,{USER},,user,2024-03-05\n{USER},knows,{USER},user,user,2024-03-05\n{USER},,p01,user,,\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """The whole way in the clear."""
    root = tmp_path_factory.mktemp("clear")
    write_shop(root / "source")
    command(root, "build", "graph-build", str(root / "source"), "--verbose", "--json")
    command(root, "train", "train", "--model", "item-knn", "--refit")
    command(root, "evaluate", "evaluate", "--json", "--per-user", str(root / "per-user.parquet"))
    command(root, "recommend-all", "recommend", "--users", "all", "--k", "3", "--out", str(root / "recs.parquet"))
    (root / "source" / "later").mkdir()
    (root / "source" / "later" / "new.csv").write_text(f"user_id,product_id\n{USER},p03\n")
    events = ["--events", str(root / "source" / "later" / "new.csv"), "--out", str(root / "visits.parquet")]
    command(root, "recommend-events", "recommend", *events)
    command(root, "recommend", "recommend", "--user", USER, "--json")
    command(root, "search", "search", "tea", "--user", USER, "--json")
    command(root, "publish", "publish", "--k", "3", "--similar", "3", "--json")
    asked = ["--cypher", "MATCH (u:User {id: $id}) RETURN u.id AS id", "--param", f"id={USER}"]
    command(root, "query", "query", *asked, "--out", str(root / "asked.json"))
    return Ran(root)


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A build with pseudonyms."""
    root = tmp_path_factory.mktemp("keyed")
    write_shop(root / "source")
    (root / "w").mkdir()
    (root / "w" / "shopgraph.toml").write_text('[ingest.privacy]\npseudonymise = "ids"\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHOPGRAPH_PSEUDONYM_KEY", KEY)
        command(root, "build", "graph-build", str(root / "source"), "--verbose", "--json")
    return Ran(root)


def strings(store: Store) -> Iterator[tuple[str, str]]:
    """(`label.property`, value as text) of every property of every node and relationship in the store."""
    for label in LABELS:
        properties = store.labels().get(label, {})
        for batch in store.nodes(label, list(properties)):
            yield from ((f"{label}.{n}", str(v)) for n in batch.schema.names for v in batch.column(n).to_pylist())
    for key, properties in store.patterns().items():
        asked = f"MATCH (:{key[0]})-[r:{key[1]}]->(:{key[2]}) RETURN " + ", ".join(
            f"r.`{name}`" for name in sorted(properties)
        )
        if properties:
            answer = store.run(asked, {})
            assert not answer.truncated
            yield from (
                (f"{key[1]}.{n}", str(v)) for row in answer.rows for n, v in zip(sorted(properties), row, strict=True)
            )


def holders(ran: Ran, needle: str) -> set[tuple[str, str]]:
    """(place, field) of all outside the source that holds `needle`: Parquet and Arrow decoded, the rest bytes."""
    found: set[tuple[str, str]] = set()
    for path in sorted(p for p in ran.root.rglob("*") if p.is_file()):
        where = path.relative_to(ran.root).as_posix()
        if where.startswith("source/"):
            continue
        if path.suffix in (".parquet", ".arrow"):
            table = pq.read_table(path) if path.suffix == ".parquet" else pa.ipc.open_file(path).read_all()
            held = [n for n in table.column_names if any(needle in str(v) for v in table[n].to_pylist())]
            assert needle not in str(table.schema)
            found |= {(where, column) for column in held}
        elif needle.encode() in path.read_bytes():
            found.add((where, ""))
    with open_store(str(ran.workspace / "graph.lbug")) as store:
        found |= {("store", name) for name, text in strings(store) if needle in text}
    return found


def test_the_store_is_searched_whole(ran: Ran) -> None:
    with open_store(str(ran.workspace / "graph.lbug")) as store:
        names = {name for name, _ in strings(store)}
    assert {f"{label}.id" for label in ("User", "Product", "Account")} <= names
    filled = {"PURCHASED", "SAW", "CLICKED", "REDEEMED", "BELONGS_TO"}
    assert {f"{r}.{p}" for r in filled for p in RELATIONSHIPS[r].properties} <= names


def test_no_contact_value_is_anywhere(ran: Ran) -> None:
    assert holders(ran, CANARY) == set()
    assert holders(ran, "Ely") == {("w/tables/accounts.parquet", "hometown")}  # the search does find what is there


def test_no_contact_value_or_id_is_anywhere_with_a_key(keyed: Ran) -> None:
    for needle in (CANARY, USER, USER.upper(), KEY, "u01"):
        assert holders(keyed, needle) == set(), needle


def test_the_planted_user_is_where_the_registry_says(ran: Ran) -> None:
    outputs = {
        "evaluate --per-user FILE": "per-user.parquet",
        "recommend --users … --out FILE": "recs.parquet",
        "recommend --events … --out FILE": "visits.parquet",
        "recommend --user ID": "said-recommend.txt",
        "query … --out FILE": "asked.json",
        "graph-build --json": "said-build.txt",
    }
    (run,) = (ran.workspace / "runs").iterdir()
    listed = {
        (
            p.where if p.where == "store" else outputs.get(p.where, f"w/{p.where.replace('/*/', f'/{run.name}/')}"),
            p.field,
        )
        for p in personal_places()
    }
    # what a run holds while it lasts, and what publishing writes into the store alone
    lasting = (".sentiment-*/", ".tables-*/", ".graph-*/", ".import-*/", "import/", "runs/.run-*/", "tables-update/")
    listed -= {(f"w/{name}", "") for name in lasting}
    # the user stands in the users table and need not be created
    listed -= {("w/tables/created/users.parquet", "user_id")}
    listed -= {("w/graph/User.RECOMMENDED.Product.parquet", c) for c in ("source", "evidence")}
    # only a ragged row of users could show an id there, and with contact fields in the table it is hidden
    listed -= {("w/tables/quarantine/users.parquet", "row")}
    # of two linked accounts the smaller id stands first; nothing was refused
    listed -= {("w/tables/account_links.parquet", "account_a"), ("w/tables-refused/", "")}
    found = holders(ran, USER)
    assert ("w/graph.lbug", "") in found
    assert found - {("w/graph.lbug", "")} == listed


ROWS = "".join(f"a{i},x{i}@{CANARY}.org,{CANARY}{i}\n" for i in range(2000))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("accounts.csv.gz", gzip.compress(f"account_id,email,name\n{ROWS}".encode())[:-9]),
        ("accounts.csv", ROWS.encode()),
        ("accounts.csv", f"account_id,email,name\n{ROWS}".encode("utf-16")),
        ("accounts.jsonl", f'["a1", "x@{CANARY}.org"]\n'.encode()),
        ("users.csv", f"x@{CANARY}.org,{CANARY},{CANARY}\n".encode()),
    ],
)
def test_a_file_that_cannot_be_read_shows_nothing_of_it(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / name).write_bytes(content)
    words = ["graph-build", str(tmp_path / "source"), "--workspace", str(tmp_path / "w"), "--verbose"]
    done = subprocess.run(
        [sys.executable, "-m", "shopgraph.cli.main", *words], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr and "error: " in done.stderr
    assert CANARY not in done.stdout + done.stderr
    left = [p for p in (tmp_path / "w").rglob("*") if p.is_file()]
    assert not any(CANARY.encode() in p.read_bytes() for p in left)


def test_the_documentation_shows_the_registry() -> None:
    text = (ROOT / "docs" / "privacy.md").read_text()
    assert as_markdown() in text, "put the output of python -m shopgraph.personal_places into docs/privacy.md"


def test_what_the_documentation_says_of_contact_fields() -> None:
    text = (ROOT / "docs" / "privacy.md").read_text()
    for name in ("loyalty_id", "email", "phone", "postcode", "device_id", "not_personal", "SHOPGRAPH_PSEUDONYM_KEY"):
        assert re.search(rf"\b{name}\b", text), name
