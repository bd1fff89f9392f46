"""Refuses expressions that a store evaluates without looking at its time limit, or at its memory.

Both stores look at the clock between rows, but not within an expression: in Neo4j a `reduce` over a long `range`, or a
regular expression that goes back and forth, runs on after the time limit and after the client has gone; the embedded
database builds a long `range` in memory outside of its pool. So the length of a `range` must be seen in the text or be
the size of something, loops within expressions do not nest, and a regular expression is a text with few repetitions.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from kg.cypher_tokens import Kind, Token
from kg.errors import GraphError

MAX_RANGE = 1_000_000
"""The largest number that may stand in a range."""

MAX_CHOICES = 4
"""Most places of a regular expression (*, +, ?, {, |) where matching may go on in several ways."""

_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")
_COUNTS = frozenset({"SIZE", "LENGTH"})
_LOOPS = frozenset({"REDUCE", "ALL", "ANY", "NONE", "SINGLE"})
_CHOICES = "*+?{|"


def check_costs(tokens: Sequence[Token]) -> None:
    """Raise where a statement holds an expression whose time or memory nothing bounds.

    Raises:
        GraphError: names the expression and what to do.
    """
    loops: list[int] = []  # ends of the loops that are open
    for at, token in enumerate(tokens):
        while loops and at > loops[-1]:
            loops.pop()
        if token.text == "=" and at + 1 < len(tokens) and tokens[at + 1].text == "~":
            _check_pattern(tokens, at + 2)
        name = _called(tokens, at)
        if name == "REGEXP_MATCHES" or (token.text == "~" and tokens[at - 1].text != "="):
            raise _refusal("this way to match a regular expression is not allowed", "write text =~ 'pattern'")
        if name == "RANGE":
            _check_range(tokens, at + 2, _end(tokens, at + 1))
        if name in _LOOPS or _is_comprehension(tokens, at):
            if loops:
                raise _refusal("a loop over a list stands within another", "use UNWIND for the outer one")
            loops.append(_end(tokens, at + 1 if name in _LOOPS else at))


def _called(tokens: Sequence[Token], at: int) -> str:
    """Name of the function whose call begins at `at`, in upper case; '' elsewhere."""
    token = tokens[at]
    called = token.kind in (Kind.WORD, Kind.QUOTED) and at + 1 < len(tokens) and tokens[at + 1].text == "("
    return token.text.strip("`").upper() if called else ""


def _is_comprehension(tokens: Sequence[Token], at: int) -> bool:
    """Whether `[x IN` begins at `at`."""
    return (
        tokens[at].text == "["
        and at + 2 < len(tokens)
        and tokens[at + 1].kind in (Kind.WORD, Kind.QUOTED)
        and tokens[at + 2].text.upper() == "IN"
    )


def _end(tokens: Sequence[Token], start: int) -> int:
    """Place of the bracket that closes the one at `start`."""
    depth = 0
    for at in range(start, len(tokens)):
        depth += (tokens[at].text in _OPENING) - (tokens[at].text in _CLOSING)
        if depth == 0:
            return at
    return len(tokens)


def _check_range(tokens: Sequence[Token], start: int, end: int) -> None:
    at = start
    while at < end:
        token = tokens[at]
        if _called(tokens, at) in _COUNTS:
            at = _end(tokens, at + 1)
        elif token.kind is Kind.NUMBER and token.text.isdigit() and int(token.text) <= MAX_RANGE:
            pass
        elif token.text not in (",", "+", "-", "(", ")"):
            remedy = f"use whole numbers up to {MAX_RANGE:,}, size(…) and length(…), with + and -"
            raise _refusal(f"{token.text!r} cannot stand in a range", remedy)
        at += 1


def _check_pattern(tokens: Sequence[Token], at: int) -> None:
    remedy = f"use a text in quotes with at most {MAX_CHOICES} of {' '.join(_CHOICES)}, none after a bracket, and no \\"
    if at >= len(tokens) or tokens[at].kind is not Kind.STRING:
        raise _refusal("a regular expression must be a text", remedy)
    if at + 1 < len(tokens) and tokens[at + 1].text in ("+", "[", "|"):
        raise _refusal("a regular expression must be one text", remedy)
    pattern = tokens[at].text[1:-1]
    if re.search(r"\)\s*[*+?{]", pattern) or sum(map(pattern.count, _CHOICES)) > MAX_CHOICES or "\\" in pattern:
        raise _refusal("the regular expression may take too long", remedy)


def _refusal(what: str, remedy: str) -> GraphError:
    return GraphError(what, "query", remedy)
