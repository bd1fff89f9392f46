"""Where Ladybug's Cypher is narrower than Neo4j's: words that it keeps for itself are quoted in the place of a name."""

from __future__ import annotations

from kg.cypher_tokens import tokenize

KEYWORDS = frozenset({"end", "order"})
"""Names that Neo4j takes as they are and Ladybug only in backticks."""

_BEFORE_A_NAME = frozenset({":", "|", "."})


def quote_names(cypher: str) -> str:
    """The statement with `:Order`, `.end` and the like in backticks; ORDER BY and CASE … END stay.

    Raises:
        GraphError: an open string, quote or comment.
    """
    parts, previous = [], ""
    for token in tokenize(cypher):
        named = previous in _BEFORE_A_NAME and token.text.lower() in KEYWORDS
        parts.append(token.before + (f"`{token.text}`" if named else token.text))
        previous = token.text
    return "".join(parts)
