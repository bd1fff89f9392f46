"""Personal data: what leaves a run, in every file that it writes."""

from __future__ import annotations

import hashlib
import hmac
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.contract import TABLES, Personal
from ingest.errors import IngestError
from ingest.names import shown_names
from ingest.personal import contact_name
from ingest.privacy import PrivacySettings
from ingest.pseudonyms import create_macro, pseudonym

Build = Callable[..., Any]
KEY = "0123456789abcdef0123456789abcdef"
IDS = PrivacySettings(pseudonymise="ids")

SHOP = {
    "users.csv": "user_id,Email Address,age\nu1,canary-1@example.org,30\nU1,canary-2@example.org,31\nu2,,40\n"
    ",canary-3@example.org,9\nu3,canary-4@example.org,1,canary-5\nu2,canary-6@example.org,41\n",
    "accounts.csv": "account_id,user_id,channel,email,phone,birth_date,note\n"
    "a1,u1,web,canary-7@example.org,canary-8,1980-01-01,fine\na2,,app,canary-9@example.org,,,\n"
    ",u2,web,canary-10@example.org,canary-11,canary-12,\na1,u1,web,canary-13@example.org,,,\n",
    "products.csv": "product_id,title,name\np1,tea,canary is a colour\n",
    "events.csv": "user_id,account_id,product_id,event,time,order_id,text,query,phone\n"
    "u1,,p1,purchase,2024-01-01,o1,,,canary-14\nu2,,p1,review,2024-01-02,,my words,,canary-15\n"
    ",a2,p1,purchase,2024-01-03,o2,,,canary-16\nu9,,p1,bought,2024-01-03,o3,their words,,canary-17\n"
    "u1,,nothing,purchase,2024-01-03,o4,,,canary-18\n,a7,,search,2024-01-04,,,looked for,canary-19\n",
    "redemptions.csv": "user_id,coupon_id\nu2,c1\n",
    "removals.csv": "table,id\nusers,u8\nproducts,p9\n",
    "triples.csv": "head,relation,tail,head_type\nu1,likes,tea,user\np1,has,leaf,\n",
    "mapping.toml": '[tables.accounts]\npersonal = ["birth_date"]\n',
}


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SHOPGRAPH_PSEUDONYM_KEY", KEY)
    return KEY


def expected(kind: str, value: str, key: str = KEY) -> str:
    """HMAC by the standard library, written out once more."""
    return hmac.new(key.encode(), f"{kind}\x1f{value}".encode(), hashlib.sha256).hexdigest()[:24]


def person(value: str) -> str:
    return expected("person", value)


def texts(folder: Path) -> Iterator[tuple[str, str]]:
    """(file, all that it says) of every file of a folder; Parquet is decoded."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            yield path.name, json.dumps([table.column_names, table.to_pylist()], default=str)
        yield path.name, path.read_bytes().decode("utf-8", "replace")


def said(built: Any) -> str:
    return "\n".join(text for _, text in texts(built.root / "work"))


@pytest.mark.parametrize("privacy", [PrivacySettings(), IDS, PrivacySettings(free_text="drop")], ids=str)
def test_no_contact_value_is_in_any_file_of_the_build(build: Build, key: str, privacy: PrivacySettings) -> None:
    built = build(SHOP, privacy=privacy)
    everything = said(built)
    assert "canary is a colour" in everything  # a product's name is nobody's
    assert "canary-" not in everything
    tables = built.quality()["tables"]
    assert tables["users"]["left_out"] == {"Email Address": "name"}
    assert tables["events"]["left_out"] == {"phone": "name"}
    assert {n: (t["rows_in"], t["loaded"], t["merged"], t["quarantined"]) for n, t in tables.items()} == {
        "products": (1, 1, 0, 0),
        "users": (6, 3, 1, 2),
        "accounts": (4, 2, 1, 1),
        "events": (6, 4, 0, 2),
        "redemptions": (1, 1, 0, 0),
        "removals": (2, 2, 0, 0),
        "triples": (2, 2, 0, 0),
    }


def test_without_a_key_contact_fields_are_empty_and_ids_as_they_are(build: Build) -> None:
    built = build(SHOP)
    accounts = {row["account_id"]: row for row in built.rows("accounts")}
    assert accounts["a1"] == {
        "account_id": "a1", "channel": "web", "user_id": "u1", "loyalty_id": None, "email": None, "phone": None,
        "name": None, "postcode": None, "device_id": None, "note": "fine",
    }  # fmt: skip
    bad = built.quarantine("accounts")[0]
    assert json.loads(bad["row"]) == {
        "account_id": "", "user_id": "u2", "channel": "web", "email": "[hidden]", "phone": "[hidden]",
        "birth_date": "[hidden]", "note": "",
    }  # fmt: skip
    ragged = next(row for row in built.quarantine("users") if row["rule"] == "ragged_row")
    assert (ragged["line"], json.loads(ragged["row"])) == (6, ["[hidden]"] * 4)


def test_pseudonyms_are_hmacs_and_join_in_every_table(build: Build, key: str) -> None:
    built = build(SHOP, privacy=IDS)
    users = {row["user_id"] for row in built.rows("users")}
    # u9's only event is quarantined; a2 and a7 are users of their own
    assert users == {person(u) for u in ("u1", "U1", "u2", "a2", "a7")}
    events = built.rows("events")
    assert {row["user_id"] for row in events} == {person("u1"), person("u2"), person("a2"), person("a7")}
    assert {row["order_id"] for row in events} == {expected("order_id", "o1"), expected("order_id", "o2"), None}
    resolved = {(r["account_id"], r["user_id"], r["method"]) for r in built.rows("account_users")}
    assert resolved == {
        (person("a1"), person("u1"), "given"),
        (person("a2"), person("a2"), "own"),
        (person("a7"), person("a7"), "own"),
    }
    accounts = {row["account_id"]: row for row in built.rows("accounts")}
    first = accounts[person("a1")]
    assert first["email"] == expected("email", "canary-13@example.org")  # of the later row
    assert first["birth_date"] == expected("birth_date", "1980-01-01")
    assert accounts[person("a2")]["phone"] is None
    assert [row["user_id"] for row in built.rows("redemptions")] == [person("u2")]
    assert {(r["table"], r["id"]) for r in built.rows("removals")} == {("users", person("u8")), ("products", "p9")}
    assert {r["head"] for r in built.rows("triples")} == {person("u1"), "p1"}
    groups = built.quality()["case_variants"]["users.user_id"]
    assert groups == [sorted([person("u1"), person("U1")])]


def test_the_quarantine_shows_pseudonyms_and_hides_words(build: Build, key: str) -> None:
    built = build(SHOP, privacy=IDS)
    rows = {row["rule"]: row for row in built.quarantine("events")}
    unknown = json.loads(rows["unknown_event"]["row"])
    assert unknown == {
        "user_id": person("u9"), "account_id": None, "product_id": "p1",
        "event": "bought", "time": "2024-01-03", "order_id": expected("order_id", "o3"), "text": "[hidden]",
        "query": "[hidden]", "phone": "[hidden]",
    }  # fmt: skip
    assert rows["dangling_product"]["value"] == "nothing"
    everything = said(built)
    for value in ('"u1"', '"u2"', '"u9"', '"a2"', '"o1"', '"o3"', "their words"):
        assert value not in everything, value


@given(st.lists(st.tuples(st.sampled_from(["u1", "u2", "U1", "a1", "é"]), st.integers(0, 3)), min_size=1, max_size=12))
def test_pseudonyms_of_the_database_are_those_of_python(rows: list[tuple[str, int]]) -> None:
    """One to one, and null stays null."""
    connection = duckdb.connect()
    create_macro(connection, KEY.encode())
    found = connection.execute(
        "SELECT u, sg_pseudonym('person', u), sg_pseudonym('x', NULL) FROM unnest(?) AS t(u)", [[u for u, _ in rows]]
    ).fetchall()
    assert all(p == pseudonym(KEY.encode(), "person", u) == person(u) and none is None for u, p, none in found)
    assert len({p for _, p, _ in found}) == len({u for u, _, _ in found})


def test_the_same_tables_under_other_names(build: Build, key: str) -> None:
    """The tables in the clear, renamed by hand, are those with pseudonyms, but for event ids and contact fields."""
    kinds = {"user_id": "person", "account_id": "person", "order_id": "order_id", "session_id": "s", "list_id": "l"}

    def renamed(row: dict[str, Any]) -> dict[str, Any]:
        return {c: expected(kinds[c], v) if c in kinds and v is not None else v for c, v in row.items()}

    def told(rows: list[dict[str, Any]]) -> list[str]:
        left_out = ("event_id", "email", "phone", "birth_date")
        return sorted(str({c: v for c, v in row.items() if c not in left_out}) for row in rows)

    names = ("users", "events", "accounts", "redemptions", "account_users", "products")
    clear = {name: [renamed(row) for row in build(SHOP).rows(name)] for name in names}
    keyed = build(SHOP, privacy=IDS)
    for name in names:
        assert told(clear[name]) == told(keyed.rows(name)), name
    assert len({row["event_id"] for row in keyed.rows("events")}) == 4


@pytest.mark.parametrize("length", [1, 63, 64, 65, 200])
def test_a_key_of_any_length(length: int) -> None:
    connection = duckdb.connect()
    key = bytes(range(1, 256))[:length] * (1 if length < 256 else 2)
    create_macro(connection, key)
    assert connection.execute("SELECT sg_pseudonym('user', 'ü')").fetchone() == (
        hmac.new(key, "user\x1fü".encode(), hashlib.sha256).hexdigest()[:24],
    )


def test_kinds_of_id_are_apart() -> None:
    assert len({pseudonym(KEY.encode(), kind, "1") for kind in ("person", "order_id", "email", "session_id")}) == 4


def test_the_same_key_gives_the_same_tables_and_another_builds_anew(
    build: Build, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build(SHOP, privacy=IDS)
    events = first.rows("events")
    assert build(SHOP, privacy=IDS).report.reused
    monkeypatch.setenv("SHOPGRAPH_PSEUDONYM_KEY", "another key, as long as the first one is")
    second = build(SHOP, privacy=IDS)
    assert not second.report.reused
    assert not {r["user_id"] for r in second.rows("events")} & {r["user_id"] for r in events}
    monkeypatch.setenv("SHOPGRAPH_PSEUDONYM_KEY", KEY)
    assert build(SHOP, privacy=IDS).rows("events") == events
    assert not build(SHOP).report.reused


def test_the_key_is_in_no_file_and_no_output(build: Build, key: str, capfd: pytest.CaptureFixture[str]) -> None:
    everything = said(build(SHOP, privacy=IDS)) + "".join(capfd.readouterr())
    assert KEY not in everything
    padded = bytes(b ^ 0x36 for b in KEY.encode().ljust(64, b"\0"))
    assert padded.hex() not in everything.lower()


@pytest.mark.parametrize("value", [None, "", "   ", "tiny-key", "x" * 31])
def test_no_key_or_a_short_one_is_one_line(build: Build, monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("SHOPGRAPH_PSEUDONYM_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("SHOPGRAPH_PSEUDONYM_KEY", value)
    with pytest.raises(IngestError) as error:
        build(SHOP, privacy=IDS)
    assert "SHOPGRAPH_PSEUDONYM_KEY" in str(error.value)
    assert "\n" not in str(error.value)
    assert not (value or "").strip() or value not in str(error.value)


def test_a_key_where_its_name_should_be_is_not_repeated(build: Build) -> None:
    with pytest.raises(IngestError) as error:
        build(SHOP, privacy=PrivacySettings(pseudonymise="ids", key_variable="sEcReT-key"))
    assert "sEcReT" not in str(error.value)


def test_pseudonyms_for_people_on_the_command_line(key: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ingest.pseudonyms", "user_id"],
        input=" u1 \nu2\n", capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == [person("u1"), person("u2")]


@pytest.mark.parametrize(
    ("table", "name", "contact"),
    [
        ("users", "E-Mail", True), ("users", "customerEmail", True), ("users", "phone_2", True),
        ("users", "Name", True), ("users", "first name", True), ("users", "billing_address", True),
        ("users", "ZIP", True), ("users", "loyalty_id", True), ("events", "device_id", True),
        ("events", "user_name", True), ("events", "name", False), ("products", "email", False),
        ("users", "age", False), ("users", "email_verified", False), ("users", "household_size", False),
        ("users", "brand_name", False), ("users", "mailing_list", False), ("campaigns", "name", False),
    ],
)  # fmt: skip
def test_contact_fields_by_name(table: str, name: str, contact: bool) -> None:
    assert contact_name(table, name) is contact


def test_the_contract_declares_what_is_personal() -> None:
    """Written out by hand: a column added to the contract must be thought about here."""
    found = {
        f"{table}.{c.name}": c.personal
        for table, spec in TABLES.items()
        for c in spec.columns
        if c.personal is not None
    }
    ids = (
        "users.user_id", "events.event_id", "events.user_id", "events.order_id", "events.session_id",
        "events.list_id", "events.account_id", "campaigns.user_id", "redemptions.user_id", "accounts.account_id",
        "accounts.user_id", "triples.head", "triples.tail", "removals.id",
    )  # fmt: skip
    contacts = [f"accounts.{c}" for c in ("loyalty_id", "email", "phone", "name", "postcode", "device_id")]
    assert found == (
        dict.fromkeys(ids, Personal.ID)
        | dict.fromkeys(contacts, Personal.CONTACT)
        | dict.fromkeys(("events.text", "events.query"), Personal.TEXT)
    )


def test_addresses_within_a_column_of_any_name_are_found(build: Build) -> None:
    files = {
        "users.jsonl": '{"user_id": "u1", "profile": {"email": "canary-1@example.org"}, "plan": "a"}\n'
        '{"user_id": "u2", "profile": null, "plan": "b"}\n',
        "events.parquet": pa.table(
            {
                "user_id": ["u1", "u2"],
                "product_id": ["p", "q"],
                "event": ["view", "view"],
                "who": pa.array([{"mail": "canary-2@example.org"}, None]),
                "tags": pa.array([["a@b"], ["x"]]),
            }
        ),
    }
    built = build(files)
    assert built.quality()["tables"]["users"]["left_out"] == {"profile": "e-mail addresses"}
    assert built.quality()["tables"]["events"]["left_out"] == {"who": "e-mail addresses"}
    assert "canary-" not in said(built)
    assert built.arrow("users").column_names == ["user_id", "plan"]
    assert "tags" in built.arrow("events").column_names
    assert "e-mail addresses" in (built.root / "work" / "reports" / "quality.html").read_text()


def test_the_mapping_overrules_names(build: Build) -> None:
    files = {
        "users.csv": "user_id,login,birth_date\nu1,night owl,1980-01-01\n",
        "mapping.toml": '[tables.users]\npersonal = ["birth_date"]\nnot_personal = ["login"]\n',
    }
    built = build(files)
    assert built.rows("users") == [{"user_id": "u1", "login": "night owl"}]
    assert built.quality()["tables"]["users"]["left_out"] == {"birth_date": "mapping"}


@pytest.mark.parametrize("key", ["personal", "not_personal"])
def test_a_personal_column_that_is_not_there(build: Build, key: str) -> None:
    files = {"users.csv": "user_id,age\nu1,3\n", "mapping.toml": f'[tables.users]\n{key} = ["birthday"]\n'}
    with pytest.raises(IngestError, match=rf"users\.{key} .*'birthday'.*extra columns: age"):
        build(files)


def test_dropped_free_text(build: Build) -> None:
    built = build(SHOP, privacy=PrivacySettings(free_text="drop"))
    assert {(r["text"], r["query"]) for r in built.rows("events")} == {(None, None)}
    for words in ("my words", "their words", "looked for"):
        assert words not in said(built)
    assert {r["user_id"] for r in built.rows("events")} == {"u1", "u2", "a2", "a7"}


def test_kept_free_text_and_ids_in_the_clear(build: Build) -> None:
    assert {r["text"] for r in build(SHOP).rows("events")} == {"my words", None}


@pytest.mark.parametrize(
    "content",
    [
        "canary-1@example.org,canary-2\ncanary-3@example.org,canary-4\n",
        "+49 170 1234567,Anna Canary\n+49 170 1234568,Otto Canary\n",
        "7,canary@example.org,7\n8,x,8\n",
    ],
)
def test_a_file_without_a_header_shows_no_data(build: Build, content: str) -> None:
    with pytest.raises(IngestError) as error:
        build({"accounts.csv": content})
    message = str(error.value)
    assert "accounts.csv" in message
    assert "anary" not in message
    assert "1234567" not in message


def test_names_in_messages_stay_short() -> None:
    assert shown_names(["a", "b\nc"]) == "a, b?c"
    assert shown_names([]) == "none"
    assert shown_names([f"c{i}" for i in range(5000)]).endswith("c19 and 4,980 more")
    assert len(shown_names(["x" * 10_000])) == 61
