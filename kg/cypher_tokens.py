r"""Cuts Cypher into words, quoted names, strings, numbers and punctuation; comments are dropped.

Whatever the two stores' lexers read differently is refused, so that the text means the same to all three: escapes
with \u (Neo4j resolves them before it looks for quotes), other escapes than the common ones, control characters, and
characters beyond ASCII outside of quotes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from kg.errors import GraphError

MAX_CHARACTERS = 100_000


class Kind(Enum):
    """What a token is."""

    WORD = "word"
    QUOTED = "quoted name"
    STRING = "string"
    NUMBER = "number"
    PUNCTUATION = "punctuation"


@dataclass(frozen=True)
class Token:
    """A piece of a statement.

    Attributes:
        kind: what it is.
        text: as written, quotes included.
        before: the white space before it; a comment there is one blank.
    """

    kind: Kind
    text: str
    before: str


_ESCAPE = r"\\[\\'\"`bfnrtBFNRT]"
_SPACE = re.compile(r"(?:[ \t\n]+|//[^\n]*|/\*(?s:.*?)\*/)+")
_COMMENT = re.compile(r"//[^\n]*|/\*(?s:.*?)\*/")
_TOKEN = re.compile(
    rf"(?P<STRING>'(?:[^'\\]|{_ESCAPE})*'|\"(?:[^\"\\]|{_ESCAPE})*\")"
    r"|(?P<QUOTED>`(?:[^`\\]|``)+`)"
    r"|(?P<NUMBER>(?:\d+(?:\.\d+)?|(?<!\.)\.\d+)(?:[eE][+-]?\d+)?)(?![\w])"
    r"|(?P<WORD>[A-Za-z_]\w*)"
    r"|(?P<PUNCTUATION>[;(){}\[\],.:$*+\-/%^<>=!|&~])",
    re.ASCII,
)


def tokenize(cypher: str) -> list[Token]:
    """The tokens of `cypher`, without comments.

    Raises:
        GraphError: an open string, quote or comment, a character or an escape that is not allowed.
    """
    text = cypher.replace("\r\n", "\n")
    _refuse_odd(text)
    tokens: list[Token] = []
    at, before = 0, ""
    while at < len(text):
        space = _SPACE.match(text, at)
        if space:
            before = _COMMENT.sub(" ", space.group())
            at = space.end()
            continue
        found = _TOKEN.match(text, at)
        if not found:
            raise _unreadable(text, at)
        tokens.append(Token(Kind[str(found.lastgroup)], found.group(), before))
        at, before = found.end(), ""
    return tokens


def _refuse_odd(text: str) -> None:
    if len(text) > MAX_CHARACTERS:
        raise GraphError(
            f"the query has {len(text)} characters", "query", f"use at most {MAX_CHARACTERS}; pass parameters"
        )
    if re.search(r"\\u", text, re.IGNORECASE):
        raise GraphError("the query has an escape with \\u", "query", "write the character itself")
    odd = re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text)
    if odd:
        raise GraphError(f"the query has the control character U+{ord(odd.group()):04X}", "query", "remove it")


def _unreadable(text: str, at: int) -> GraphError:
    """The error for the text at `at`, which begins no token."""
    line = text.count("\n", 0, at) + 1
    here = text[at]
    if here in "'\"`":
        closed = text.find(here, at + 1) >= 0
        what = f"a quote {here} in line {line} is " + (
            "followed by an escape that is not allowed" if closed else "open"
        )
        return GraphError(what, "query", r"close it; the escapes are \\ \' \" \` \b \f \n \r \t")
    if text.startswith("/*", at):
        return GraphError(f"the comment in line {line} is open", "query", "close it with */")
    what = f"the character {here!r} (U+{ord(here):04X}) in line {line} cannot stand outside of quotes"
    return GraphError(what, "query", "remove it, or put the name between backticks")
