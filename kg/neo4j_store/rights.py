"""What an account may not do, in words, and the GRANT that lets it: from the server's own messages.

Enterprise and Aura have roles; Community has none, and refuses no account anything but a wrong password. A right to
read that is missing raises no error there: what may not be read is simply not found.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Right:
    """A kind of refusal.

    Attributes:
        message: pattern of the server's message; the group `database` names the database where the message does.
        tried: what the account tried, for people.
        grant: the missing privilege, without the role; `{database}` is put in.
    """

    message: str
    tried: str
    grant: str


_ON = r" on database '(?P<database>[^']*)' is (?:not allowed|denied)"
RIGHTS = (
    Right(rf"Schema operation '\w*constraint\w*'{_ON}", "create or drop a constraint",
          "CONSTRAINT MANAGEMENT ON DATABASE {database}"),
    Right(rf"Schema operation '\w*index\w*'{_ON}", "create or drop an index",
          "INDEX MANAGEMENT ON DATABASE {database}"),
    Right(rf"Schema operation '[^']*'{_ON}", "change the schema", "INDEX MANAGEMENT ON DATABASE {database}"),
    Right(rf"Show indexes{_ON}", "list the indexes", "SHOW INDEX ON DATABASE {database}"),
    Right(rf"Show constraints{_ON}", "list the constraints", "SHOW CONSTRAINT ON DATABASE {database}"),
    Right(rf"Creating new (?:node label|property name|relationship type){_ON}",
          "use a label, relationship type or property for the first time", "NAME MANAGEMENT ON DATABASE {database}"),
    Right(rf"(?:Create|Delete) (?:node|relationship) with [^']*'.*'{_ON}", "write to the graph",
          "WRITE ON GRAPH {database}"),
    Right(rf"(?:Set|Remove) (?:label|property) for [^']*'.*'{_ON}", "write to the graph", "WRITE ON GRAPH {database}"),
    Right(r"Write operations are not allowed", "write to the graph", "WRITE ON GRAPH {database}"),
    Right(r"Executing procedure is not allowed", "call a procedure", "EXECUTE PROCEDURE * ON DBMS"),
    Right(r"Executing a user defined (?:aggregating )?function is not allowed", "call a function of a plug-in",
          "EXECUTE USER DEFINED FUNCTION * ON DBMS"),
    Right(r"ACCESS on database '(?P<database>[^']*)' is not allowed|Database access is not allowed",
          "open the database", "ACCESS ON DATABASE {database}"),
)  # fmt: skip
"""From the most special to the most general."""


def missing_right(message: str, username: str, database: str | None) -> tuple[str, str] | None:
    """What to tell a person about a refusal (`Neo.ClientError.Security.Forbidden`).

    Args:
        message: of the server.
        username: of the account.
        database: that was used, None for the account's home database.

    Returns:
        What the account may not do, and what to do about it; None for a message of another kind.
    """
    for right in RIGHTS:
        found = re.search(right.message, message)
        if not found:
            continue
        named = found.groupdict().get("database") or database
        where = f"`{named.replace('`', '``')}`" if named else "neo4j"
        what = f"the account {username!r} may not {right.tried}"
        privilege = right.grant.format(database=where)
        if "is denied" in message:
            return what, f"a role of it was denied this; ask an administrator for: REVOKE DENY {privilege} FROM role"
        return what, f"ask an administrator for: GRANT {privilege} TO role (docs/neo4j lists the roles)"
    return None
