"""Writes single settings into shopgraph.toml: comments, order and every other key stay as a person wrote them."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shopgraph.errors import AppError
from shopgraph.workspace import write_whole

Names = tuple[str, ...]
BARE = re.compile(r"[A-Za-z0-9_-]+")


def edit_settings(path: Path, values: Mapping[str, Any]) -> Path | None:
    """Set dotted keys in the settings file; what it was before is kept beside it.

    Args:
        path: shopgraph.toml; it need not be there.
        values: dotted key (its groups are tables) to a string, number, boolean or list of them.

    Returns:
        The backup (.toml.bak), None where there was no file.

    Raises:
        AppError: the file cannot be read or edited; it is left as it is.
    """
    try:
        before = path.read_bytes().decode("utf-8") if path.exists() else ""
        after = with_values(before, values)
    except (OSError, ValueError) as error:
        remedy = f"write into it by hand: {', '.join(f'{key} = {as_toml(value)}' for key, value in values.items())}"
        raise AppError(f"settings cannot be edited: {error}", str(path), remedy) from error
    backup = path.with_name(f"{path.name}.bak") if path.exists() else None
    if backup is not None:
        write_whole(backup, before)
    write_whole(path, after)
    return backup


def with_values(text: str, values: Mapping[str, Any]) -> str:
    """TOML `text` with dotted keys set; what is between the statements that change stays byte for byte.

    Raises:
        ValueError: it is no TOML, or cannot be edited without changing something else.
    """
    wanted = tomllib.loads(text)
    for key, value in values.items():
        names = tuple(key.split("."))
        at = wanted
        for name in names[:-1]:
            at = at.setdefault(name, {})
            if not isinstance(at, dict):
                raise ValueError(f"{name} is no group of settings")
        at[names[-1]] = value
        text = _with_value(text, names, value)
    if tomllib.loads(text) != wanted:
        raise ValueError(f"{', '.join(values)} cannot be set without changing another setting")
    return text


@dataclass(frozen=True)
class _Statement:
    """A table header, a key with its value, or a blank or comment line, with its line break.

    Attributes:
        text: as it stands in the file.
        table: the table that it belongs to or, a header, opens.
        key: the dotted key beneath the table; empty: a header or nothing.
        header: whether it opens a table.
        value: the value of the key.
    """

    text: str
    table: Names
    key: Names = ()
    header: bool = False
    value: Any = None

    @property
    def path(self) -> Names:
        """Where its value stands in the whole document."""
        return self.table + self.key

    def with_value(self, value: Any) -> str:
        """The text with another value; a comment after the value stays."""
        body = self.text.rstrip("\r\n")
        head = body[: body.index("=") + 1]
        space = re.match(r"[ \t]*", body[len(head) :])
        # the first # before which the statement is whole begins the comment; others stand in strings or in arrays
        marks = [m.start() for m in re.finditer("#", body)]
        end = next((n for n in marks if _parsed(body[:n])), len(body))
        kept = len(body[:end].rstrip())
        return head + (space[0] if space else "") + as_toml(value) + body[kept:] + self.text[len(body) :]


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _statements(text: str) -> list[_Statement]:
    """The statements of a valid document: lines are taken together until they can be read alone."""
    out: list[_Statement] = []
    table: Names = ()
    chunk = ""
    for line in re.findall(r"[^\n]*\n|[^\n]+", text):
        chunk += line
        found = _parsed(chunk)
        if found is None:
            continue
        if chunk.lstrip().startswith("["):
            table = _first_path(found)
            out.append(_Statement(chunk, table, header=True))
        elif found:
            key = _key_path(found, chunk)
            value: Any = found
            for name in key:
                value = value[name]
            out.append(_Statement(chunk, table, key, value=value))
        else:
            out.append(_Statement(chunk, table))
        chunk = ""
    return out


def _first_path(found: Any) -> Names:
    """The names from the root to the first thing that is no table."""
    if isinstance(found, dict) and found:
        name, inner = next(iter(found.items()))
        return (name, *_first_path(inner))
    return ("[]",) if isinstance(found, list) else ()  # an array of tables is no group of settings


def _key_path(found: dict[str, Any], text: str) -> Names:
    """The key of a statement: as many names as stand before its equals sign."""
    alone = _parsed(text[: text.index("=")] + "= 0") or found
    return _first_path(alone)


def _with_value(text: str, names: Names, value: Any) -> str:
    statements = _statements(text)
    for n, s in enumerate(statements):
        if s.key and s.path == names[: len(s.path)]:
            rest = names[len(s.path) :]
            if rest and not isinstance(s.value, dict):
                raise ValueError(f"{'.'.join(s.path)} is no group of settings")
            new = _put(s.value, rest, value)
            return "".join(
                [*(s.text for s in statements[:n]), s.with_value(new), *(s.text for s in statements[n + 1 :])]
            )
    return _inserted(statements, names, value, "\r\n" if "\r\n" in text else "\n")


def _put(table: Any, names: Names, value: Any) -> Any:
    """An inline table with a value set; without names the value itself."""
    if not names:
        return value
    return {**table, names[0]: _put(table.get(names[0], {}), names[1:], value)}


def _inserted(statements: list[_Statement], names: Names, value: Any, newline: str) -> str:
    """A new statement after the last one of its table, or in a new table at the end."""
    group, at = names[:-1], -1
    for n, s in enumerate(statements):
        dotted = s.key[:-1] and s.path[: len(group)] == group and len(s.table) < len(group)
        if (s.table == group and (s.key or s.header)) or dotted:
            at = n
    texts = [s.text for s in statements]
    if texts and not texts[-1].endswith("\n"):
        texts[-1] += newline
    if at >= 0:
        key = ".".join(map(_quoted, names[len(statements[at].table) :]))
        texts.insert(at + 1, f"{key} = {as_toml(value)}{newline}")
    else:
        if texts and texts[-1].strip():
            texts.append(newline)
        head = f"[{'.'.join(map(_quoted, group))}]{newline}"
        texts.append(f"{head}{_quoted(names[-1])} = {as_toml(value)}{newline}")
    return "".join(texts)


def _quoted(name: str) -> str:
    return name if BARE.fullmatch(name) else json.dumps(name)


def as_toml(value: Any) -> str:
    """A value as TOML writes it, on one line."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_toml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_quoted(name)} = {as_toml(inner)}' for name, inner in value.items())}}}"
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)
