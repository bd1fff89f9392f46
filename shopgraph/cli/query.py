"""`shopgraph query`: the analysts' library, or any read-only Cypher."""

NAME = "query"


def command() -> None:
    """Query.

    Example: shopgraph query
    """
