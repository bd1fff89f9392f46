from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ingest.progress import SilentProgress
from kg.errors import GraphError
from kg.neo4j_store import java
from kg.neo4j_store.credentials import find_credentials, password_file, state_folder
from kg.neo4j_store.server import ServerOptions, start, status, stop
from kg.stores import open_store

PROGRESS = SilentProgress()


def executable(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("NEO4J_USERNAME", "NEO4J_PASSWORD", "NEO4J_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SHOPGRAPH_STATE", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("line", "major"),
    [('openjdk version "17.0.15" 2025-04-15', 17), ('java version "1.8.0_401"', 8), ('openjdk version "21" x', 21)],
)
def test_java_versions_are_read(tmp_path: Path, line: str, major: int) -> None:
    assert java.java_version(str(executable(tmp_path / "java", f"echo '{line}' >&2"))) == major


def test_an_old_java_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(tmp_path / "bin" / "java", "echo 'openjdk version \"11.0.2\"' >&2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(GraphError, match=r"Java 11 is too old.*install Java 17"):
        java.find_java()


def test_a_missing_java_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GraphError, match="Java is not installed"):
        java.find_java()


def test_a_missing_maven_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPGRAPH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GraphError, match="Maven is not installed"):
        java.server_jars(PROGRESS)


def test_a_failing_maven_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(tmp_path / "bin" / "mvn", "echo '[ERROR] no route to the repository'; exit 1")
    monkeypatch.setenv("SHOPGRAPH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(GraphError, match="no route to the repository"):
        java.server_jars(PROGRESS)
    assert list((tmp_path / "cache").rglob("*")) == [tmp_path / "cache" / f"neo4j-{java.NEO4J_VERSION}"]


def test_maven_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = (
        'for a in "$@"; do case $a in -DoutputDirectory=*) mkdir -p "${a#*=}"; touch "${a#*=}/neo4j.jar";; esac; done'
    )
    executable(tmp_path / "bin" / "mvn", script)
    monkeypatch.setenv("SHOPGRAPH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    jars = java.server_jars(PROGRESS)
    assert [p.name for p in jars.iterdir()] == ["neo4j.jar"]
    (tmp_path / "bin" / "mvn").unlink()
    assert java.server_jars(PROGRESS) == jars


def test_the_state_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SHOPGRAPH_STATE", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert state_folder() == tmp_path / "xdg" / "shopgraph"
    monkeypatch.setenv("SHOPGRAPH_STATE", str(tmp_path / "own"))
    assert state_folder() == tmp_path / "own"


def test_the_generated_password_is_for_its_own_url_alone(no_credentials: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = no_credentials / "neo4j"
    home.mkdir()
    (home / "server.json").write_text(json.dumps({"bolt_port": 7999}))
    password_file(home).write_text("generated")
    for url in ("neo4j://localhost:7999", "bolt://127.0.0.1:7999", "neo4j://[::1]:7999"):
        assert find_credentials(url).password == "generated"
    for url in ("neo4j://localhost:7998", "neo4j://localhost", "neo4j://example.org:7999", "neo4j://localhost:x"):
        assert find_credentials(url).password is None
    monkeypatch.setenv("NEO4J_PASSWORD", "mine")
    assert find_credentials("neo4j://localhost:7999").password == "mine"


def test_nothing_runs_in_a_fresh_folder(no_credentials: Path) -> None:
    assert status() is None
    assert stop() is False


def test_another_process_is_never_stopped(no_credentials: Path) -> None:
    home = no_credentials / "neo4j"
    home.mkdir()
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as other:
        state = {"pid": other.pid, "url": "neo4j://localhost:7687", "version": "5", "bolt_port": 7687}
        (home / "server.json").write_text(json.dumps(state))
        assert status() is None
        assert stop() is False
        assert other.poll() is None
        other.terminate()


def test_a_start_that_fails_names_the_log(
    no_credentials: Path, monkeypatch: pytest.MonkeyPatch, unused_port: int
) -> None:
    fake = "case $1 in -version) echo 'openjdk version \"17\"' >&2;; *) echo 'ERROR the disk is full'; exit 1;; esac"
    executable(no_credentials / "java" / "bin" / "java", fake)
    monkeypatch.setenv("JAVA_HOME", str(no_credentials / "java"))
    (no_credentials / "cache" / f"neo4j-{java.NEO4J_VERSION}" / "lib").mkdir(parents=True)
    monkeypatch.setenv("SHOPGRAPH_CACHE", str(no_credentials / "cache"))
    with pytest.raises(GraphError, match=r"the disk is full.*console\.log"):
        start(PROGRESS, ServerOptions(bolt_port=unused_port))
    assert status() is None


@pytest.mark.parametrize("url", ["neo4j://", "neo4j://localhost:99999999", "bolt://localhost:nothing"])
def test_a_malformed_url_is_refused(no_credentials: Path, url: str) -> None:
    with pytest.raises(GraphError, match=r"(URL|no Neo4j server answers)") as caught:
        open_store(url)
    assert "\n" not in str(caught.value)


def test_a_server_that_is_down_says_what_to_do(no_credentials: Path, unused_port: int) -> None:
    with pytest.raises(GraphError, match=r"no Neo4j server answers.*shopgraph neo4j start"):
        open_store(f"neo4j://localhost:{unused_port}")


@pytest.mark.neo4j
def test_the_server_is_private(neo4j_server: Any) -> None:
    if neo4j_server.home is None:
        pytest.skip("the server is not ours")
    assert stat.S_IMODE(password_file(neo4j_server.home).stat().st_mode) == 0o600
    assert list((neo4j_server.home / "import").iterdir()) == []
    info = status()
    assert info is not None
    assert info.pid is not None
    arguments = Path(f"/proc/{info.pid}/cmdline").read_text()
    assert neo4j_server.password not in arguments
    assert "NEO4J_" not in Path(f"/proc/{info.pid}/environ").read_text()
    log = (neo4j_server.home / "logs" / "console.log").read_text()
    assert neo4j_server.password not in log


@pytest.mark.neo4j
def test_a_second_start_finds_the_first(neo4j_server: Any) -> None:
    if neo4j_server.home is None:
        pytest.skip("the server is not ours")
    running = status()
    assert running is not None
    assert start(PROGRESS) == running
    # without the state it is a stranger's server, which the environment's credentials open
    port = int(neo4j_server.url.rsplit(":", 1)[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEO4J_USERNAME", neo4j_server.username)
        patch.setenv("NEO4J_PASSWORD", neo4j_server.password)
        patch.setenv("SHOPGRAPH_STATE", str(neo4j_server.home / "elsewhere"))
        found = start(PROGRESS, ServerOptions(bolt_port=port))
        assert (found.url, found.version, found.pid) == (neo4j_server.url, running.version, None)
        assert stop() is False


@pytest.mark.neo4j
def test_the_server_reads_no_files(empty_neo4j: Any) -> None:
    with open_store(empty_neo4j.url) as store, pytest.raises(GraphError):
        store.run("LOAD CSV FROM 'file:///etc/passwd' AS row RETURN row", {})
