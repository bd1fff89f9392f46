"""Every command and option stands in the documentation's table, and has an example."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from shopgraph.cli.main import app

DOCS = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()


def commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


COMMANDS = dict(commands(typer.main.get_command(app)))


def documented() -> dict[str, str]:
    """Command name → its rows of the table."""
    rows: dict[str, str] = {}
    current = ""
    for line in DOCS.splitlines():
        if not line.startswith("| "):
            continue
        first = line.split(" | ")[0].strip("| ").strip("`")
        current = first if first in COMMANDS else current
        rows[current] = rows.get(current, "") + line + "\n"
    return rows


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_documented(name: str) -> None:
    rows = documented()
    assert name in rows, f"{name} has no row in docs/commands.md"
    shared = DOCS.split("| command |")[0]
    for parameter in COMMANDS[name].params:
        word = next((o for o in parameter.opts if o.startswith("--")), parameter.opts[0].upper())
        assert f"`{word}" in rows[name] + shared, f"{name} {word} is not in docs/commands.md"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example(name: str) -> None:
    assert f"Example: shopgraph {name}" in (COMMANDS[name].help or "")


def test_the_documentation_names_no_option_that_does_not_exist() -> None:
    known = {o for c in COMMANDS.values() for p in c.params for o in p.opts} | {"--help"}
    assert set(re.findall(r"`(--[a-z-]+)", DOCS)) <= known
