"""Builds through the command line, broken off: a few points of each kind; bench.graph_faults breaks off many."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.cut_proxy import CutProxy
from bench.fault_place import Place, must, places, run
from bench.fault_works import a_build, an_update
from bench.graph_faults import break_points, held, unbroken


@pytest.fixture
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the bench sets in the environment is taken back after the test."""
    for name in ("SHOPGRAPH_STATE", "NEO4J_USERNAME", "NEO4J_PASSWORD", "NEO4J_DATABASE", "SHOPGRAPH_STORE"):
        monkeypatch.setenv(name, "")


@pytest.mark.usefixtures("own_environment")
def test_a_broken_build_of_the_embedded_store_is_simply_run_again(tmp_path: Path) -> None:
    with places(["embedded"], tmp_path) as (place,):
        points = list(break_points(place, a_build(tmp_path, 400), ["killed", "disk"], 2, seed=1))
    assert [(p.fault, p.began_with) for p in points] == [
        ("killed", "empty"), ("killed", "older graph"), ("disk", "empty"), ("disk", "older graph")
    ]  # fmt: skip
    assert points[0].ended == "killed"
    assert points[2].ended.startswith("error:")
    assert {points[0].held, points[2].held} == {"nothing complete"}
    assert {points[1].held, points[3].held} <= {"older", "new"}
    assert all(p.equal for p in points), points


@pytest.mark.neo4j
@pytest.mark.usefixtures("neo4j_server", "own_environment")
def test_a_broken_build_of_a_server_is_simply_run_again(tmp_path: Path) -> None:
    with places(["neo4j"], tmp_path) as (place,):
        faults = ["killed", "server", "connection", "disk"]
        points = list(break_points(place, a_build(tmp_path, 400), faults, 1, seed=2))
    assert [p.fault for p in points] == faults
    assert all(p.held in {"nothing complete", "new"} for p in points), points
    assert all(p.equal for p in points), points


@pytest.mark.usefixtures("own_environment")
def test_a_broken_update_of_the_embedded_store_is_simply_run_again(tmp_path: Path) -> None:
    with places(["embedded"], tmp_path) as (place,):
        points = list(break_points(place, an_update(tmp_path, 400), ["killed"], 2, seed=3))
    assert {p.began_with for p in points} == {"older graph"}
    assert {p.held for p in points} <= {"older", "new"}
    assert all(p.equal for p in points), points


@pytest.mark.neo4j
@pytest.mark.usefixtures("neo4j_server", "own_environment")
def test_a_broken_update_of_a_server_is_simply_run_again(tmp_path: Path) -> None:
    with places(["neo4j"], tmp_path) as (place,):
        points = list(break_points(place, an_update(tmp_path, 400), ["killed", "server"], 1, seed=4))
    assert all(p.held in {"older", "nothing complete", "new"} for p in points), points
    assert all(p.equal for p in points), points


@pytest.mark.usefixtures("own_environment")
def test_a_graph_that_is_neither_the_old_nor_the_new_is_noticed(tmp_path: Path) -> None:
    with places(["embedded"], tmp_path) as (place,):
        work = a_build(tmp_path, 400)
        _, _, older, wanted = unbroken(place, work)
        assert held(place, older, wanted) == "new"
        place.clear()
        assert held(place, None, wanted) == "nothing complete"
        must(run(place.command(work.before)))
        assert held(place, older, wanted) == "older"
        assert held(place, None, wanted) == "WRONG"


@pytest.fixture
def echo() -> Iterator[int]:
    """Port of a server that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    one, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(one,), daemon=True).start()

        def answer(one: socket.socket) -> None:
            with one:
                while data := one.recv(100):
                    one.sendall(data)

        threading.Thread(target=serve, daemon=True).start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)


def test_the_proxy_passes_bytes_until_it_cuts(echo: int) -> None:
    def connected(port: int) -> Any:
        return socket.create_connection(("127.0.0.1", port), timeout=10)

    with CutProxy(echo) as proxy:
        with connected(proxy.port) as one:
            one.sendall(b"there and back")
            assert one.recv(100) == b"there and back"
            proxy.cut(0.0)
            assert one.recv(100) == b""
        with connected(proxy.port) as one:
            one.sendall(b"again")
            assert one.recv(100) == b"again"
        proxy.cut(60.0)
        with connected(proxy.port) as one:
            assert one.recv(100) == b""


def test_commands_name_the_store_that_is_not_the_workspace_s_own(tmp_path: Path) -> None:
    embedded = Place("embedded", tmp_path)
    assert "--store" not in embedded.command(("graph-build", "shop"))
    assert embedded.command(("graph-build", "shop"))[-2:] == ["--workspace", str(tmp_path / "workspace")]
