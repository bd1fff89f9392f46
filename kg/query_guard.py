"""Which Cypher an analyst may run: one statement that reads the graph and nothing else.

Neither store's read-only mode is a sandbox (Neo4j still runs LOAD CSV, SHOW and dbms procedures; a read-only Ladybug
still runs COPY TO, EXPORT DATABASE and LOAD FROM), so the text itself is checked before it is run, against a list of
what is allowed. The guard tells clauses from names by what stands before a word: a word after a complete expression
must be a keyword that reads; a name can stand only where an expression may begin. What a store evaluates without
looking at the clock or at its memory is refused too; `kg.query_costs` has those rules.

What runs is the text that `check_query` returns: without comments, on whose end the stores' lexers disagree.
"""

from __future__ import annotations

from kg.cypher_tokens import Kind, Token, tokenize
from kg.errors import GraphError
from kg.query_costs import check_costs

STARTERS = frozenset({"MATCH", "OPTIONAL", "WITH", "UNWIND", "RETURN", "CALL"})
_PLANS = frozenset({"EXPLAIN", "PROFILE"})
_ENDERS = frozenset({"END", "ASC", "ASCENDING", "DESC", "DESCENDING", "FIRST", "LAST"})
_OPERATORS = frozenset({"AND", "OR", "XOR", "NOT", "IN", "IS", "STARTS", "ENDS", "CONTAINS"})
_PARTS = frozenset(
    {"AS", "WHERE", "ORDER", "SKIP", "LIMIT", "OFFSET", "UNION", "YIELD", "WHEN", "THEN", "ELSE", "NULLS"}
)
_FOLLOW = STARTERS | _ENDERS | _OPERATORS | _PARTS
"""Words that may follow a complete expression or pattern."""

_PREFIXES = frozenset({"NOT", "CASE", "DISTINCT"})
"""Words that may stand before an expression, and after which one is still to come."""

_ONLY_AFTER = {
    "STARTS": frozenset({"WITH"}),
    "ENDS": frozenset({"WITH"}),
    "ORDER": frozenset({"BY"}),
    "NULLS": frozenset({"FIRST", "LAST"}),
    "OPTIONAL": frozenset({"MATCH", "CALL"}),
    "UNION": STARTERS | {"ALL", "DISTINCT"},
    "EXPLAIN": STARTERS,
    "PROFILE": STARTERS,
}
"""The only words that may come after a keyword that wants another one."""

_WRITES = {"CREATE", "DELETE", "DETACH", "FOREACH", "INSERT", "MERGE", "NODETACH", "REMOVE", "SET", "UPDATE"}
_FILES = {"ATTACH", "COPY", "EXPORT", "EXTENSION", "IMPORT", "INSTALL", "LOAD", "UNINSTALL"}
_ADMIN = {"ALTER", "COMMENT", "CYPHER", "DEALLOCATE", "DENY", "DROP", "DRYRUN", "ENABLE", "GRANT", "RENAME", "REVOKE"}
_SERVER = {"BEGIN", "CHECKPOINT", "COMMIT", "ROLLBACK", "SHOW", "START", "STOP", "TERMINATE", "TRANSACTIONS", "USE"}
REFUSED = frozenset(_WRITES | _FILES | _ADMIN | _SERVER)
"""Words that begin a clause which writes, reads files or manages the server: as a name they need backticks."""

PROCEDURES = frozenset(
    {
        "db.index.fulltext.querynodes",
        "db.index.fulltext.queryrelationships",
        "db.index.vector.querynodes",
        "db.labels",
        "db.propertykeys",
        "db.relationshiptypes",
        "db.schema.nodetypeproperties",
        "db.schema.reltypeproperties",
        "db.schema.visualization",
        "show_connection",
        "show_tables",
        "table_info",
    }
)
"""Procedures that may be called, in lower case: both stores' ways to look at schema and indexes."""

FUNCTION_SPACES = frozenset({"date", "datetime", "duration", "localdatetime", "localtime", "point", "time", "vector"})
"""First parts of function names with dots that may be called; plugins' (apoc) may read files and the network."""


_AGGREGATES = "avg collect count max min percentilecont percentiledisc stdev stdevp sum"
_NUMBERS = """abs acos asin atan atan2 ceil ceiling cos cot degrees e exp floor haversin isnan ln log log10 log2 pi pow
radians rand round sign sin sqrt tan"""
_TEXTS = """btrim char_length character_length concat contains ends_with left levenshtein lower ltrim normalize
reverse right rtrim split starts_with string_split substring tolower tostring tostringornull
toupper trim upper"""
_VALUES = """cast coalesce elementid greatest id ifnull isempty keys label labels least length nodes nullif offset
properties relationships rels size startnode endnode struct_extract toboolean tobooleanornull tofloat tofloatornull
tointeger tointegerornull type typeof valuetype"""
_LISTS = """all any exists head last len list_contains list_distinct list_extract list_len list_sort list_unique none
range reduce single tail toboolean tobooleanlist tofloatlist tointegerlist tostringlist"""
_TIMES = """date date_part date_trunc datepart datetime datetrunc dayname duration epoch_ms last_day localdatetime
localtime monthname time timestamp to_days to_hours to_minutes to_seconds to_timestamp"""
_PLACES = "allshortestpaths distance point shortestpath"
FUNCTIONS = frozenset(f"{_AGGREGATES} {_NUMBERS} {_TEXTS} {_VALUES} {_LISTS} {_TIMES} {_PLACES}".split())
"""Functions without a dot that may be called, in lower case; what makes long values of short ones is not among them."""


def check_query(cypher: str) -> str:
    """The statement to run: `cypher` without comments and a last semicolon.

    Raises:
        GraphError: the text is no single reading statement; the message names the word and what to do.
    """
    tokens = tokenize(cypher)
    while tokens and tokens[-1].text == ";":
        tokens.pop()
    if not tokens:
        raise _refusal("the query is empty", "write a statement, for example MATCH (p:Product) RETURN count(p)")
    _Checker(tokens).run()
    check_costs(tokens)
    return "".join(token.before + token.text for token in tokens).strip()


def _refusal(what: str, remedy: str) -> GraphError:
    return GraphError(what, "query", remedy)


class _Checker:
    """Walks over the tokens and keeps in mind what may come next.

    `expects` is `operand` (an expression, pattern or name may begin), `follow` (one has ended), `name` (any name:
    after a dot, colon or dollar sign), `brace` (a map or a subquery begins), or a set of the only words allowed.
    """

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.expects: str | frozenset[str] = STARTERS | _PLANS
        self.last = ""

    def run(self) -> None:
        for at, token in enumerate(self.tokens):
            following = self.tokens[at + 1].text if at + 1 < len(self.tokens) else ""
            if token.kind is Kind.WORD:
                self._word(token.text, following, at)
            elif token.kind is Kind.PUNCTUATION:
                self._punctuation(token.text)
            else:
                self._needs_no_word(token.text)
                self.expects = "follow"
            self.last = token.text.upper() if token.kind is Kind.WORD else token.text
            if token.kind in (Kind.WORD, Kind.QUOTED) and following == "(":
                self._function(at)

    def _needs_no_word(self, found: str) -> None:
        if isinstance(self.expects, frozenset) and not (self.last == "UNION" or found in ("(", "{")):
            self._wants(found)

    def _wants(self, found: str) -> None:
        wanted = self.expects if isinstance(self.expects, frozenset) else _FOLLOW
        place = f"after {self.last}" if self.last else "at the beginning"
        raise _refusal(f"{found!r} cannot stand {place}", f"there, only {', '.join(sorted(wanted))} can be used")

    def _word(self, text: str, following: str, at: int) -> None:
        word = text.upper()
        if self.expects == "name":
            self.expects = "follow"
            return
        if word in REFUSED:
            raise _refusal(f"{word} is not allowed", f"only reading is; a name is written `{text}`")
        if isinstance(self.expects, frozenset):
            if word not in self.expects:
                self._wants(text)
        elif self.expects == "brace" and following not in (":", ",", "}", "."):
            if word not in STARTERS:
                raise _refusal(f"{text!r} cannot begin a subquery", f"use one of {', '.join(sorted(STARTERS))}")
        elif self.expects == "follow":
            if word not in _FOLLOW:
                raise _refusal(f"{text!r} is no clause that is allowed", "use MATCH, WITH, UNWIND, CALL or RETURN")
        else:
            self._operand(word, text, following)
            return
        self._keyword(word, at)

    def _operand(self, word: str, text: str, following: str) -> None:
        """A word where an expression may begin: a name, or a prefix such as NOT."""
        if word in _PREFIXES or (word == "WHEN" and self.last == "CASE"):
            self.expects = "operand"
        elif following != ":" and word in _FOLLOW - _ENDERS:
            raise _refusal(f"{text!r} cannot stand here", f"a name is written `{text}`")
        else:
            self.expects = "follow"

    def _keyword(self, word: str, at: int) -> None:
        if word in _ENDERS or (self.expects == "brace" and word not in STARTERS):
            self.expects = "follow"
        elif word in ("ALL", "DISTINCT") and self.last == "UNION":
            self.expects = STARTERS
        elif word == "CALL":
            self._call(at + 1)
        else:
            self.expects = _ONLY_AFTER.get(word, "operand")

    def _punctuation(self, text: str) -> None:
        if text == ";":
            raise _refusal("more than one statement", "run one statement at a time")
        self._needs_no_word(text)
        if text == "{":
            self.expects = "brace"
        elif text in (")", "]", "}"):
            self.expects = "follow"
        elif text in (".", ":", "$"):
            self.expects = "name"
        elif text == "*" and self.expects != "follow":
            self.expects = "follow"  # RETURN *, count(*), n {.*}: all of it, no multiplication
        else:
            self.expects = "operand"

    def _dotted(self, start: int) -> tuple[str, int]:
        """The name with dots that begins at a token, in lower case, and the place after it."""
        parts: list[str] = []
        at = start
        while at < len(self.tokens) and self.tokens[at].kind in (Kind.WORD, Kind.QUOTED):
            parts.append(self.tokens[at].text.strip("`"))
            at += 1
            if at >= len(self.tokens) or self.tokens[at].text != ".":
                break
            at += 1
        return ".".join(parts).lower(), at

    def _call(self, at: int) -> None:
        """A subquery, whose words are checked like all others, or a procedure of the list."""
        self.expects = "operand"
        if at < len(self.tokens) and self.tokens[at].text in ("{", "("):
            return
        name, end = self._dotted(at)
        if name not in PROCEDURES or (end < len(self.tokens) and self.tokens[end].text == "="):
            remedy = "use db.labels, db.index.fulltext.queryNodes, show_tables or another that reads schema and indexes"
            raise _refusal(f"the procedure {name!r} is not allowed", remedy)

    def _function(self, at: int) -> None:
        """Refuse a word before a bracket unless it is a keyword, or a function of the list."""
        start = at
        while start >= 2 and self.tokens[start - 1].text == ".":
            start -= 2
        before = self.tokens[start - 1].text.upper() if start else ""
        name, _ = self._dotted(start)
        if before in ("CALL", ":", "|", "&", "!"):  # a procedure, which `_call` checks, or a label
            return
        if "." in name and name.split(".")[0] not in FUNCTION_SPACES:
            raise _refusal(f"the function {name!r} is not allowed", "use functions without a dot or of date and time")
        keyword = self.tokens[at].kind is Kind.WORD and name.upper() in _FOLLOW | _PREFIXES | {"BY", "DISTINCT"}
        if "." not in name and not keyword and name not in FUNCTIONS:
            remedy = "use functions that both Neo4j and openCypher know, or a query of the library"
            raise _refusal(f"the function {name!r} is not allowed", remedy)
