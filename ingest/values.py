"""Single values in SQL: how text, ids, numbers, truth values and times are read. Macros of the working database."""

from __future__ import annotations

import duckdb

from ingest.contract import MISSING
from ingest.names import literal

CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
"""Control characters, without tab and line breaks."""

MAX_TEXT_BYTES = 65_536
"""Longer text is cut (64 kB)."""

MAX_ID_BYTES = 8_000
"""Longer ids are refused: an index key of Neo4j ends near 8 kB."""

_SPACE = r"[\s\p{Z}\x{85}]+"
_CLEAN_ASCII = "([!-~]([ -~]*[!-~])?)?"  # nothing to trim, remove or normalise: the fast way for nearly every value
_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
_CLOCK = r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?"
_ZONE = r"(Z|[+-](0[0-9]|1[0-5])(:?[0-5][0-9])?)"
_CURRENCY = r"(?:[\p{Sc}]|[A-Z]{3})"
_GAP = r"[\s\p{Z}]*"
_GROUPED = r"[+-]?([0-9]{{1,3}}([{group}''\p{{Z}}][0-9]{{3}})+|[0-9]+)?({decimal}[0-9]*)?([eE][+-]?[0-9]+)?"
_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"

MACROS = (
    # text trimmed and without control characters; '' stays ''
    f"""sg_tidy(s) AS CASE WHEN regexp_full_match(s, '{_CLEAN_ASCII}') THEN s
        ELSE regexp_replace(regexp_replace(s, '{CONTROL}', '', 'g'), '^{_SPACE}|{_SPACE}$', '', 'g') END""",
    # null for the words that stand for a missing value
    f"""sg_known(s) AS CASE WHEN strlen(s) <= 4 AND lower(s) IN ({", ".join(map(literal, sorted(MISSING)))})
        THEN NULL ELSE s END""",
    "sg_word(s) AS sg_known(sg_tidy(s))",
    # an id: a word in Unicode NFC
    f"""sg_id(s) AS sg_known(CASE WHEN regexp_full_match(s, '{_CLEAN_ASCII}') THEN s
        ELSE nfc_normalize(sg_tidy(s)) END)""",
    # at most MAX_TEXT_BYTES bytes, whole characters; UTF-8 has 1 to 4 bytes a character
    f"""sg_cut(s) AS CASE WHEN strlen(s) <= {MAX_TEXT_BYTES} THEN s
        WHEN strlen(left(s, {MAX_TEXT_BYTES})) <= {MAX_TEXT_BYTES} THEN left(s, {MAX_TEXT_BYTES})
        WHEN strlen(left(s, {MAX_TEXT_BYTES // 2})) <= {MAX_TEXT_BYTES} THEN left(s, {MAX_TEXT_BYTES // 2})
        WHEN strlen(left(s, {MAX_TEXT_BYTES // 3})) <= {MAX_TEXT_BYTES} THEN left(s, {MAX_TEXT_BYTES // 3})
        ELSE left(s, {MAX_TEXT_BYTES // 4}) END""",
    "sg_finite(x) AS CASE WHEN isfinite(x) THEN x END",
    f"sg_float(w) AS CASE WHEN regexp_full_match(w, '{_NUMBER}') THEN sg_finite(TRY_CAST(w AS DOUBLE)) END",
    # a number without its currency, before or after
    f"""sg_amount(w) AS
        regexp_replace(regexp_replace(w, '^([+-]?){_CURRENCY}{_GAP}', '\\1'), '{_GAP}{_CURRENCY}$', '')""",
    # a number with a decimal point or comma, and groups of three, as programs write it
    f"""sg_point_number(w) AS CASE WHEN regexp_full_match(sg_amount(w), '{_GROUPED.format(group=",", decimal="[.]")}')
        THEN regexp_replace(sg_amount(w), '[^0-9.eE+-]', '', 'g') END""",
    f"""sg_comma_number(w) AS CASE WHEN regexp_full_match(sg_amount(w), '{_GROUPED.format(group=".", decimal=",")}')
        THEN replace(regexp_replace(sg_amount(w), '[^0-9,eE+-]', '', 'g'), ',', '.') END""",
    "sg_whole(x) AS CASE WHEN x = floor(x) AND abs(x) < 9.0e15 THEN CAST(x AS BIGINT) END",
    """sg_integer(w) AS CASE WHEN regexp_full_match(w, '[+-]?[0-9]+') THEN TRY_CAST(w AS BIGINT)
        ELSE sg_whole(sg_float(w)) END""",
    """sg_boolean(w) AS CASE WHEN lower(w) IN ('true', 't', 'yes', 'y', '1', '1.0') THEN true
        WHEN lower(w) IN ('false', 'f', 'no', 'n', '0', '0.0') THEN false END""",
    # seconds since 1970
    "sg_epoch(x) AS CASE WHEN abs(x) < 1.0e11 THEN make_timestamptz(CAST(round(x * 1000000) AS BIGINT)) END",
    f"""sg_zoned(t) AS CASE WHEN regexp_full_match(t, '{_DATE}T{_CLOCK}{_ZONE}')
        THEN TRY_CAST(t AS TIMESTAMPTZ) END""",
    f"sg_naive(t) AS CASE WHEN regexp_full_match(t, '{_DATE}(T{_CLOCK})?') THEN TRY_CAST(t AS TIMESTAMP) END",
    # the extended ISO 8601 form of a word: upper case, T between date and clock, a point before fractions, no space
    # before the zone; a basic date or date-time gets its dashes and colons
    f"""sg_iso(w) AS regexp_replace(regexp_replace(regexp_replace(replace(upper(w), ',', '.'),
        '^([0-9-]+) +([0-9:.]+) *({_ZONE})?$', '\\1T\\2\\3'),
        '^([0-9]{{4}})([0-9]{{2}})([0-9]{{2}})(T|$)', '\\1-\\2-\\3\\4'),
        '^([0-9-]+T)([0-9]{{2}})([0-9]{{2}})([0-9]{{2}})', '\\1\\2:\\3:\\4')""",
    "sg_instant(t, zone) AS coalesce(sg_zoned(t), timezone(zone, sg_naive(t)))",
    # a time of a word and its ISO form: ISO 8601, or epoch seconds times a factor
    "sg_time(w, t, zone, factor) AS coalesce(sg_instant(t, zone), sg_epoch(sg_float(w) * factor))",
    # the part of a nested value, given as JSON, that a JSON pointer names; null where there is none or it is no JSON
    "sg_part(j, pointer) AS CASE WHEN json_valid(j) THEN json_extract_string(j, pointer) END",
    # the items of a list given as JSON; of another value itself, of a missing one none
    """sg_items(j) AS CASE WHEN sg_word(j) IS NULL THEN []
        WHEN json_valid(j) AND TRY(json_type(j)) = 'ARRAY' THEN json_extract_string(j, '$[*]') ELSE [j] END""",
    """sg_without_html(s) AS replace(replace(replace(replace(replace(replace(replace(s, '&nbsp;', ' '), '&#39;', ''''),
        '&apos;', ''''), '&quot;', '"'), '&lt;', '<'), '&gt;', '>'), '&amp;', '&')""",
    # an item of a list that is written with separators
    """sg_item(s, outside, inside, html) AS replace(replace(CASE WHEN html THEN sg_without_html(s) ELSE s END,
        outside, ' '), inside, ' ')""",
    """sg_join_items(j, outside, inside, html) AS
        array_to_string(list_transform(sg_items(j), lambda i: sg_item(i, outside, inside, html)), inside)""",
    # a list, or a list of lists, given as JSON, written with separators
    """sg_join(j, outside, inside, html) AS CASE
        WHEN NOT coalesce(json_valid(j), false) THEN CASE WHEN html THEN sg_without_html(j) ELSE j END
        WHEN json_type(TRY(json_extract(j, '$[0]'))) = 'ARRAY' THEN array_to_string(
            list_transform(sg_items(j), lambda l: sg_join_items(l, outside, inside, html)), outside)
        ELSE sg_join_items(j, outside, inside, html) END""",
)


def create_macros(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the value macros (`sg_…`) in the working database."""
    for macro in MACROS:
        connection.execute(f"CREATE OR REPLACE MACRO {macro}")
