"""A draft of mapping.toml: settings with the reason of each guess, written as TOML."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

_HEAD = "# A draft: what stands after a # is why. Read it, correct it, and keep it as mapping.toml beside the tables.\n"


@dataclass
class Draft:
    """The settings of a mapping file, those in force and those guessed.

    Attributes:
        content: as TOML has them.
        reasons: path of a guessed setting -> why.
        decisions: what only a person can say, a line each.
    """

    content: dict[str, Any] = field(default_factory=dict)
    reasons: dict[tuple[str, ...], str] = field(default_factory=dict)
    decisions: list[str] = field(default_factory=list)

    def put(self, path: tuple[str, ...], value: Any, why: str) -> None:
        """Guess a setting; one that a person has made stays."""
        place = self.content
        for key in path[:-1]:
            place = place.setdefault(key, {})
        if path[-1] not in place:
            place[path[-1]] = value
            self.reasons[path] = " ".join(why.split())

    def has(self, *path: str) -> bool:
        """Whether a setting is there."""
        place: Any = self.content
        for key in path:
            if not isinstance(place, dict) or key not in place:
                return False
            place = place[key]
        return True

    def toml(self) -> str:
        """The file."""
        tables = self.content.get("tables", {})
        lines = [*_HEAD.splitlines(), *self._pairs((), {k: v for k, v in self.content.items() if k != "tables"})]
        for name, table in tables.items():
            sections = {k: v for k, v in table.items() if isinstance(v, dict)}
            lines += ["", f"[tables.{_key(name)}]"]
            lines += self._pairs(("tables", name), {k: v for k, v in table.items() if k not in sections})
            for section, pairs in sections.items():
                lines += [f"[tables.{_key(name)}.{_key(section)}]", *self._pairs(("tables", name, section), pairs)]
        return "\n".join(lines) + "\n"

    def _pairs(self, path: tuple[str, ...], pairs: dict[str, Any]) -> list[str]:
        return [
            f"{_key(k)} = {toml_value(v)}" + (f"  # {self.reasons[*path, k]}" if (*path, k) in self.reasons else "")
            for k, v in pairs.items()
        ]


def _key(name: str) -> str:
    bare = name.replace("_", "").replace("-", "")
    return name if bare.isascii() and bare.isalnum() else toml_value(name)


def toml_value(value: Any) -> str:
    """A value as TOML writes it on one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(k)} = {toml_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    if isinstance(value, str):  # the escapes of JSON are those of TOML, but that U+007F needs one here
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    return json.dumps(value)
