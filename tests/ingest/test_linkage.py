"""Accounts of several channels become users: every method, contradictions, decisions, nothing in clear."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Any

import pytest

from ingest.errors import IngestError
from ingest.linkage.settings import LinkSettings

Build = Callable[..., Any]
HEAD = "account_id,channel,user_id,loyalty_id,email,phone,name,postcode,date_of_birth\n"


def accounts(*rows: str) -> dict[str, str]:
    return {"accounts.csv": HEAD + "\n".join(rows) + "\n"}


def users(built: Any) -> dict[str, tuple[str, str, float]]:
    return {r["account_id"]: (r["user_id"], r["method"], r["confidence"]) for r in built.rows("account_users")}


def links(built: Any) -> list[tuple[str, str, str, float, bool]]:
    return [tuple(r.values()) for r in built.rows("account_links")]


def link(**changed: Any) -> LinkSettings:
    return LinkSettings(**{"probabilistic": False, **changed})


def test_a_given_user_is_the_user(build: Build) -> None:
    built = build(accounts("w1,web,u7,,,,,,", "a1,app,u7,,,,,,", "s1,store,,,,,,,"))
    assert users(built) == {"w1": ("u7", "given", 1.0), "a1": ("u7", "given", 1.0), "s1": ("s1", "own", 1.0)}
    assert links(built) == [("a1", "w1", "given", 1.0, True)]
    assert built.rows("account_users")[0].keys() == {"account_id", "user_id", "method", "confidence"}
    assert built.rows("account_links")[0].keys() == {"account_a", "account_b", "method", "confidence", "kept"}


@pytest.mark.parametrize("rows", [[], ["w1,web,,L1,a@x.org,5550001111,Ann Lee,12345,1980-02-01"]])
def test_none_or_one(build: Build, rows: list[str]) -> None:
    built = build(accounts(*rows))
    assert users(built) == {row[:2]: (row[:2], "own", 1.0) for row in rows}
    assert links(built) == []


def test_exact_keys_are_normalised(build: Build) -> None:
    built = build(
        accounts(
            "w1,web,,,Ann.Lee@Example.org ,,,,",
            "a1,app,,, ann.lee+shop@example.org,,,,",
            "w2,web,,,,+44 20 7946 0958,,,",
            "a2,app,,,,0044 (0)20 7946-0958,,,",
            "s2,store,,,,020 7946 0958,,,",
            "w3,web,,AB-12 34,,,,,",
            "s3,store,,ab1234,,,,,",
            "w4,web,,,not an address,12345,,,",
            "s4,store,,,not an address,12345,,,",
        ),
        link=link(),
    )
    assert users(built) == {
        "a1": ("a1", "own", 1.0), "w1": ("a1", "email", 1.0),
        "a2": ("a2", "own", 1.0), "s2": ("a2", "phone", 1.0), "w2": ("a2", "phone", 1.0),
        "s3": ("s3", "own", 1.0), "w3": ("s3", "loyalty", 1.0),
        "w4": ("w4", "own", 1.0), "s4": ("s4", "own", 1.0),
    }  # fmt: skip


def test_a_hash_links_to_what_it_was_made_of(build: Build) -> None:
    from hashlib import sha256

    hashed = sha256(b"ann@example.org").hexdigest()
    other = sha256(b"bob@example.org").hexdigest()
    built = build(
        accounts("w1,web,,,Ann@example.org,,,,", f"a1,app,,,{hashed.upper()},,,,", f"s1,store,,,{other},,,,"),
        link=link(),
    )
    assert {a: u for a, (u, _, _) in users(built).items()} == {"a1": "a1", "w1": "a1", "s1": "s1"}


def test_a_key_of_many_accounts_links_nobody(build: Build) -> None:
    rows = [f"a{n},web,,,info@shop.org,,,," for n in range(4)] + ["b1,web,,,b@x.org,,,,", "b2,app,,,b@x.org,,,,"]
    built = build(accounts(*rows), link=link(max_key_accounts=3))
    assert {a: u for a, (u, _, _) in users(built).items()} == {
        "a0": "a0", "a1": "a1", "a2": "a2", "a3": "a3", "b1": "b1", "b2": "b1",
    }  # fmt: skip
    assert built.quality()["linkage"]["shared_keys"] == {"email": 1}
    again = build(accounts(*rows), link=link(max_key_accounts=4))
    assert {u for u, _, _ in users(again).values()} == {"a0", "b1"}


def test_keys_can_be_chosen(build: Build) -> None:
    rows = ["w1,web,,,x@x.org,5550001111,,,", "a1,app,,,y@x.org,5550001111,,,"]
    assert {u for u, _, _ in users(build(accounts(*rows), link=link(keys=("email",)))).values()} == {"w1", "a1"}
    assert {u for u, _, _ in users(build(accounts(*rows), link=link(keys=("phone",)))).values()} == {"a1"}


def test_two_given_users_are_never_one(build: Build) -> None:
    built = build(
        accounts("w1,web,u1,,x@x.org,,,,", "a1,app,u2,,x@x.org,5550001111,,,", "s1,store,,,,5550001111,,,"), link=link()
    )
    assert users(built) == {"w1": ("u1", "given", 1.0), "a1": ("u2", "given", 1.0), "s1": ("u2", "phone", 1.0)}
    assert links(built) == [("a1", "s1", "phone", 1.0, True), ("a1", "w1", "email", 1.0, False)]
    assert built.quality()["linkage"]["split"] == {"user_id": 1}


@pytest.mark.parametrize(
    ("loyalty", "births", "reason"),
    [(("L1", "L2"), ("", ""), "loyalty_id"), (("", ""), ("1980-02-01", "1955-07-30"), "date_of_birth")],
)
def test_contradictory_accounts_fall_apart_at_the_weakest_link(
    build: Build, loyalty: tuple[str, str], births: tuple[str, str], reason: str
) -> None:
    """The strong e-mail link between s1 and a1 stays, the weaker phone link of w1 to both goes."""
    built = build(
        accounts(
            f"w1,web,,{loyalty[0]},,5550001111,,,{births[0]}",
            f"a1,app,,{loyalty[1]},x@x.org,5550001111,,,{births[1]}",
            "s1,store,,,x@x.org,5550001111,,,",
        ),
        link=link(),
    )
    assert {a: u for a, (u, _, _) in users(built).items()} == {"a1": "a1", "s1": "a1", "w1": "w1"}
    assert links(built) == [
        ("a1", "s1", "email", 1.0, True), ("a1", "w1", "phone", 1.0, False), ("s1", "w1", "phone", 1.0, False),
    ]  # fmt: skip
    assert built.quality()["linkage"]["split"] == {reason: 2}


@pytest.mark.parametrize("other", ["1980-02-10", "1980-01-02", "1980-02-02", "1908-02-01", "1979-02-01"])
def test_a_slip_in_a_date_of_birth_is_no_contradiction(build: Build, other: str) -> None:
    """One edit, a swap of neighbours, of day and month, or one wrong part."""
    built = build(accounts("w1,web,,,x@x.org,,,,1980-02-01", f"a1,app,,,x@x.org,,,,{other}"), link=link())
    assert {u for u, _, _ in users(built).values()} == {"a1"}


def test_contradictions_can_be_left_out(build: Build) -> None:
    rows = ["w1,web,,,x@x.org,,,,1980-02-01", "a1,app,,,x@x.org,,,,1955-07-30"]
    built = build(accounts(*rows), link=link(contradictions=()))
    assert {u for u, _, _ in users(built).values()} == {"a1"}


def test_a_duplicate_free_channel_gives_a_user_one_account(build: Build) -> None:
    rows = ["w1,web,,,x@x.org,,,,", "w2,web,,,,5550001111,,,", "s1,store,,,x@x.org,5550001111,,,"]
    assert {u for u, _, _ in users(build(accounts(*rows), link=link())).values()} == {"s1"}
    built = build(accounts(*rows), link=link(duplicate_free=("web",)))
    assert {a: u for a, (u, _, _) in users(built).items()} == {"s1": "s1", "w1": "s1", "w2": "w2"}
    assert built.quality()["linkage"]["split"] == {"channel": 1}


def test_decisions_confirm_and_undo(build: Build) -> None:
    files = accounts(
        "w1,web,,,x@x.org,,,,", "a1,app,,,x@x.org,,,,", "s1,store,,,,,,,1950-01-01", "s2,store,,,,,,,1999-09-09"
    )
    files["decisions.csv"] = "account_a,account_b,same\nw1,a1,false\ns2,s1,TRUE\ns1,gone,true\n"
    built = build(files, link=link())
    assert users(built) == {
        "a1": ("a1", "own", 1.0), "w1": ("w1", "own", 1.0), "s1": ("s1", "own", 1.0), "s2": ("s1", "decision", 1.0),
    }  # fmt: skip
    assert links(built) == [("a1", "w1", "email", 1.0, False), ("s1", "s2", "decision", 1.0, True)]
    linkage = built.quality()["linkage"]
    assert (linkage["decisions"], linkage["unknown_decisions"]) == (2, 1)
    assert built.report.ignored_files == []
    assert "the accounts table lacks: 1." in (built.root / "work/reports/quality.html").read_text("utf-8")


def test_accounts_told_apart_do_not_meet_by_way_of_a_third(build: Build) -> None:
    """w1 and s1 share an e-mail, s1 and a1 a phone: the weaker of the two goes."""
    files = accounts("w1,web,,,x@x.org,,,,", "s1,store,,,x@x.org,5550001111,,,", "a1,app,,,,5550001111,,,")
    files["decisions.csv"] = "account_a,account_b,same\na1,w1,no\n"
    built = build(files, link=link())
    assert {a: u for a, (u, _, _) in users(built).items()} == {"s1": "s1", "w1": "s1", "a1": "a1"}
    assert built.quality()["linkage"]["split"] == {"decision": 1}


def test_given_users_stand_above_decisions(build: Build) -> None:
    files = accounts("w1,web,u1,,,,,,", "a1,app,u1,,,,,,", "s1,store,u2,,,,,,")
    files["decisions.csv"] = "account_a,account_b,same\nw1,a1,false\nw1,s1,true\n"
    built = build(files, link=link())
    assert {a: u for a, (u, _, _) in users(built).items()} == {"w1": "u1", "a1": "u1", "s1": "u2"}
    assert built.quality()["linkage"]["split"] == {"user_id": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("account_a,account_b\nw1,a1\n", "no column 'same'"),
        ("account_a,account_b,same\nw1,a1,true\nw1,a1,perhaps\n", "line 3"),
        ("account_a,account_b,same\nw1,,true\n", "line 2"),
        ("account_a,account_b,same\nw1,w1,true\n", "line 2"),
        ("account_a,account_b,same\nw1,a1\n", "line 2"),
        ("account_a,account_b,same\nw1,a1,true\na1,w1,false\n", "line 3 .* line 2 "),
        ("account_a,account_b,same\nw1,s1,false\nw1,a1,1\ns1,a1,yes\n", "line 2 .* lines 3, 4 "),
    ],
)
def test_decisions_that_cannot_be_followed(build: Build, content: str, message: str) -> None:
    files = accounts("w1,web,,,,,,,", "a1,app,,,,,,,", "s1,store,,,,,,,") | {"decisions.csv": content}
    with pytest.raises(IngestError, match=message):
        build(files, link=link())


def test_a_change_of_decisions_or_settings_is_built(build: Build) -> None:
    files = accounts("w1,web,,,x@x.org,,,,", "a1,app,,,x@x.org,,,,")
    assert not build(files, link=link()).report.reused
    again = build(files, link=link())
    assert again.report.reused
    assert again.report.linkage == build(files, link=link()).report.linkage is not None
    assert not build(files, link=link(max_key_accounts=2)).report.reused
    files["decisions.csv"] = "account_a,account_b,same\nw1,a1,false\n"
    assert not build(files, link=link(max_key_accounts=2)).report.reused


def test_decisions_without_accounts_are_no_part_of_the_source(build: Build) -> None:
    files = {"events.csv": "user_id,product_id,event\nu,p,view\n", "decisions.csv": "account_a,account_b,same\n"}
    assert build(files).report.ignored_files == ["decisions.csv"]


@pytest.mark.parametrize(
    "setting", [{"threshold": 1.5}, {"keys": ("mail",)}, {"max_key_accounts": 1}, {"sample_pairs": 0}]
)
def test_settings_that_mean_nothing(build: Build, setting: dict[str, Any]) -> None:
    with pytest.raises(IngestError, match=next(iter(setting))):
        build(accounts("w1,web,,,,,,,"), link=LinkSettings(**setting))


_GIVEN = ("anna", "bela", "carl", "dora", "emil", "fritz", "greta", "hugo", "ida", "jana", "karl", "lena", "nora")
_SURNAME = ("abel", "bauer", "dietz", "engel", "falk", "graf", "hahn", "igel", "jung", "keller", "lang", "ott", "pohl")


def people(n: int, seed: int = 5) -> list[str]:
    """Web and store accounts of n people, the store's with a slip in the name; every tenth person has none."""
    draw = random.Random(seed)
    rows = []
    for i in range(n):
        given, surname = draw.choice(_GIVEN) + draw.choice(_GIVEN), draw.choice(_SURNAME) + draw.choice(_SURNAME)
        code, birth = (
            draw.randrange(10000, 99999),
            f"19{draw.randrange(40, 99)}-0{draw.randrange(1, 9)}-{draw.randrange(10, 28)}",
        )
        rows.append(f"w{i:03d},web,,,{given}{i}@mail.org,,{given.title()} {surname.title()},{code},{birth}")
        if i % 10:
            slip = given[:2] + given[3:]
            rows.append(f's{i:03d},store,,,,,"{surname}, {slip}",{code},{birth}')
    return rows


def test_probabilistic_links(build: Build) -> None:
    built = build(accounts(*people(120)))
    found = users(built)
    for i in range(120):
        web = found[f"w{i:03d}"]
        if i % 10:
            assert found[f"s{i:03d}"][:2] == (f"s{i:03d}", "own")
            assert web[:2] == (f"s{i:03d}", "probabilistic")
            assert 0.5 < web[2] < 1
        else:
            assert web == (f"w{i:03d}", "own", 1.0)
    linkage = built.quality()["linkage"]
    assert linkage["links"] == {"probabilistic": [108, 0]}
    assert linkage["compared"] == ["date_of_birth", "name", "postcode"]
    assert 0 < linkage["threshold"] < 1 and linkage["precision"] > 0.99 and linkage["recall"] > 0.95


def test_probabilistic_linkage_can_be_switched_off_and_has_a_threshold(build: Build) -> None:
    rows = people(60)
    off = build(accounts(*rows), link=link())
    assert {m for _, m, _ in users(off).values()} == {"own"}
    assert off.quality()["linkage"]["threshold"] is None
    strict = build(accounts(*rows), link=LinkSettings(threshold=0.999999999999))
    assert len(links(strict)) < 54


def test_members_of_a_household_stay_apart(build: Build) -> None:
    """Same surname, address and phone, which is no key here: without anything personal in common they do not link."""
    rows = people(120)
    rows += [
        "h1,web,,,,5550001111,Tom Abelkeller,54321,1960-04-04",
        "h2,store,,,,5550001111,Ursula Abelkeller,54321,1991-10-30",
    ]
    found = users(build(accounts(*rows), link=LinkSettings(keys=())))
    assert found["h1"][0] != found["h2"][0]


def test_households_of_two(build: Build) -> None:
    """400 persons in 200 households that share surname, postcode and house; the store misspells every fifth name."""
    draw = random.Random(3)
    rows = []
    for i in range(400):
        given = draw.choice(_GIVEN) + draw.choice(_GIVEN)
        surname, code = _SURNAME[i // 2 % 13] + _SURNAME[i // 26 % 13], 10000 + i // 2
        birth = f"19{draw.randrange(40, 99)}-0{draw.randrange(1, 9)}-{draw.randrange(10, 28)}"
        slip = given if i % 5 else given[1] + given[0] + given[2:]
        rows.append(f"w{i:03d},web,,,,,{given} {surname},{code},{birth}")
        rows.append(f"s{i:03d},store,,,,,{slip} {surname},{code},{birth}")
    found = users(build(accounts(*rows)))
    for i in range(400):
        assert found[f"w{i:03d}"][0] == found[f"s{i:03d}"][0]
    assert len({user for user, _, _ in found.values()}) == 400


def test_neither_the_order_of_rows_nor_threads_matter(build: Build) -> None:
    rows = people(120)
    first = build(accounts(*rows))
    expected = users(first), links(first)
    random.Random(1).shuffle(rows)
    again = build(accounts(*rows), threads=4)
    assert not again.report.reused
    assert (users(again), links(again)) == expected


def test_nothing_in_clear_leaves_the_accounts_table(
    build: Build, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    secret = ("zoe.zander@private.org", "5557654321", "zander", "1971-11-12", "19711112")
    rows = [*people(60), f"z1,web,,,{secret[0]},{secret[1]},Zoe Zander,77777,{secret[3]}"]
    rows.append(f"z2,app,u1,,{secret[0]},,Zoe Zander,77777,{secret[3]}")
    rows.append(f"z3,store,u2,,{secret[0]},{secret[1]},Zoe Zander,77777,{secret[3]}")
    with caplog.at_level(logging.INFO):
        built = build(accounts(*rows))
    said = caplog.text + "".join(capfd.readouterr())
    written = b"".join(
        p.read_bytes() for p in (built.root / "work").rglob("*") if p.is_file() and p.name != "accounts.parquet"
    )
    text = f"{built.rows('account_links')}{built.rows('account_users')}"
    for value in secret:
        assert value not in said.lower()
        assert value not in text.lower()
        assert value.encode() not in written.lower()
    with pytest.raises(IngestError) as error:
        build(accounts(*rows) | {"decisions.csv": "account_a,account_b,same\nz1,z2,true\nz1,z2,false\n"})
    assert not any(value in str(error.value).lower() for value in secret)
