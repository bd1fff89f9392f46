"""Frozen dataclasses from plain dictionaries, and single values from text: the one reader of all settings."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from ingest.errors import ShopgraphError

T = TypeVar("T")


def from_dict(kind: type[T], values: Mapping[str, Any], where: str) -> T:
    """Build the dataclass `kind` from `values`, going into fields that are dataclasses themselves.

    Args:
        kind: a dataclass whose fields are str, int, float, bool, datetime (naive: UTC), tuple[...], dict[str, ...],
            Literal[...], `X | None` or dataclasses.
        values: field names to values; fields left out keep their default.
        where: what the values belong to, for the error.

    Raises:
        ShopgraphError: an unknown key (named, with the known ones) or a value of the wrong type.
    """
    hints = typing.get_type_hints(kind)
    known = [f.name for f in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise ShopgraphError(f"unknown setting {key!r}", where, f"known ones are {', '.join(known)}")
    return kind(**{key: _convert(hints[key], value, f"{where}, {key}") for key, value in values.items()})


def to_dict(config: Any) -> dict[str, Any]:
    """The dataclass as a dictionary of JSON values (tuples as lists)."""
    plain: dict[str, Any] = dataclasses.asdict(
        config, dict_factory=lambda items: {k: list(v) if isinstance(v, tuple) else v for k, v in items}
    )
    return plain


def with_setting(config: T, key: str, text: str, where: str) -> T:
    """A copy of `config` with the dotted `key` set to the value that `text` stands for.

    Raises:
        ShopgraphError: unknown key, or text that is no value of its type.
    """
    head, _, rest = key.partition(".")
    hints = typing.get_type_hints(type(config))
    if head not in hints:
        raise ShopgraphError(f"unknown setting {head!r}", where, f"known ones are {', '.join(hints)}")
    if rest:
        inner = getattr(config, head)
        if not dataclasses.is_dataclass(inner):
            raise ShopgraphError(f"{head!r} has no settings of its own", where, f"write {head}=VALUE")
        value: Any = with_setting(inner, rest, text, f"{where}, {head}")
    elif dataclasses.is_dataclass(hints[head]):
        raise ShopgraphError(f"{head!r} is a group of settings", where, f"write {head}.NAME=VALUE")
    else:
        value = _parse(hints[head], text, f"{where}, {head}")
    return dataclasses.replace(config, **{head: value})  # type: ignore[type-var]


def _options(hint: Any) -> tuple[Any, ...]:
    union = typing.get_origin(hint) in (types.UnionType, typing.Union)
    return typing.get_args(hint) if union else (hint,)


def _wrong(hint: Any, value: Any, where: str) -> ShopgraphError:
    names = " or ".join("nothing" if o is type(None) else getattr(o, "__name__", str(o)) for o in _options(hint))
    return ShopgraphError(f"{value!r} is not a value of type {names}", where, "correct the setting")


def _allowed(choices: tuple[Any, ...], value: Any, where: str) -> Any:
    if value not in choices:
        names = ", ".join(str(choice) for choice in choices)
        raise ShopgraphError(f"{value!r} is not allowed", where, f"use one of {names}")
    return value


def _convert(hint: Any, value: Any, where: str) -> Any:
    for option in _options(hint):
        if option is type(None) and value is None:
            return None
        if typing.get_origin(option) is typing.Literal:
            return _allowed(typing.get_args(option), value, where)
        if dataclasses.is_dataclass(option) and isinstance(value, Mapping):
            return from_dict(typing.cast("type[Any]", option), value, where)
        if typing.get_origin(option) is tuple and isinstance(value, list | tuple):
            return tuple(_convert(typing.get_args(option)[0], v, where) for v in value)
        if typing.get_origin(option) is dict and isinstance(value, Mapping):
            return {str(k): _convert(typing.get_args(option)[1], v, f"{where}, {k}") for k, v in value.items()}
        if _is_plain(option, value):
            return _plain(option, value)
    raise _wrong(hint, value, where)


def _is_plain(kind: Any, value: Any) -> bool:
    """Whether `value` is one of `kind` exactly, but that a whole number is a float too."""
    return kind in (str, int, bool, datetime, float) and (type(value) is kind or (kind is float and type(value) is int))


def _plain(kind: Any, value: Any) -> Any:
    if kind is datetime and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return float(value) if kind is float else value


def _parse(hint: Any, text: str, where: str) -> Any:
    options = _options(hint)
    if type(None) in options and text.lower() in ("", "none", "null"):
        return None
    for option in options:
        if option is type(None) or typing.get_origin(option) is dict:
            continue
        if typing.get_origin(option) is tuple:
            parts = [p.strip() for p in text.strip("[]()").split(",") if p.strip()]
            return tuple(_parse(typing.get_args(option)[0], p, where) for p in parts)
        if option is bool:
            if text.lower() in ("true", "false", "yes", "no", "1", "0"):
                return text.lower() in ("true", "yes", "1")
        elif option in (int, float, datetime):
            try:
                return _convert(option, datetime.fromisoformat(text) if option is datetime else option(text), where)
            except ValueError:
                continue
        elif option is str:
            return text
        else:
            return _convert(option, text, where)
    raise _wrong(hint, text, where)
