"""docs/settings.md, written from the settings themselves: python -m shopgraph.settings_page > docs/settings.md."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from typing import Any

from shopgraph.settings import ROOMS, Settings

HEAD = """# Settings

`shopgraph.toml` in the workspace holds what differs from the defaults; an unknown key is an error that names it.
`--set GROUP.KEY=VALUE` overrides one for a single command. The page is written from the code.
"""


def documented_fields(config: Any) -> Iterator[tuple[str, Any, str]]:
    """(name, default, meaning) of each field of a frozen dataclass, the meaning from its docstring."""
    text = inspect.cleandoc(type(config).__doc__ or "")
    attributes = text.partition("Attributes:")[2]
    meanings = dict(re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", attributes, flags=re.MULTILINE))
    for field in dataclasses.fields(config):
        yield field.name, getattr(config, field.name), " ".join(meanings.get(field.name, "").split())


def as_toml(value: Any) -> str:
    """A default as it would stand in the file."""
    if value is None:
        return "(none)"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(as_toml(v) for v in value)}]"
    return f'"{value}"' if isinstance(value, str) else repr(value)


def settings_page() -> str:
    """The whole page as Markdown."""
    settings = Settings()
    groups = {room: getattr(settings, room) for room in ROOMS}
    groups |= {f.name: getattr(settings.gnn, f.name) for f in dataclasses.fields(settings.gnn)}
    return "".join([HEAD, *(part for name, config in groups.items() for part in _section(name, config))])


def _section(name: str, config: Any) -> Iterator[str]:
    """A group's table, then those of the groups within it."""
    fields = list(documented_fields(config))
    plain = [field for field in fields if not dataclasses.is_dataclass(field[1])]
    yield f"\n## [{name}]\n\n{inspect.cleandoc(type(config).__doc__ or '').splitlines()[0]}\n"
    if plain:
        yield "\n| key | default | meaning |\n|---|---|---|\n"
    for key, default, meaning in plain:
        yield f"| `{key}` | `{as_toml(default)}` | {meaning.replace('|', chr(92) + '|')} |\n"
    for key, default, _ in fields:
        if dataclasses.is_dataclass(default):
            yield from _section(f"{name}.{key}", default)


if __name__ == "__main__":
    print(settings_page(), end="")
