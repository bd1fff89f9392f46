"""Users who act as no person can: a rule that looks at the whole table; all of their events are set aside.

What counts is the act. The lines of one order and the products of one list that was shown stand at one instant and are
one act, so that a large basket makes nobody a machine; every other event is an act of its own. Data whose times are
dates alone tells nothing about hours or seconds, and only the day's limit holds there. Events without a time are not
judged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ingest.cleaning_rule import Action, CleaningRule
from ingest.contract import EVENTS
from ingest.errors import IngestError
from ingest.names import literal

TOGETHER = ("purchase", "return", "impression")
"""Events of which many stand at one instant and are one act."""

LOOKING = ("impression", "click", "view", "search")
"""Events that ask nothing of the visitor."""


@dataclass(frozen=True)
class BotSettings:
    """Users who act at the rate of a machine lose all of their events to quarantine.

    Attributes:
        on: whether the rule holds.
        by: whose acts are counted, and whose events are set aside: a `user`'s or a `session`'s (events without a
            session_id are then not judged).
        per_hour: more acts within one hour (of the clock, UTC) are a machine's; the default is one every six seconds,
            the whole hour.
        per_day: more acts within one day (UTC) are a machine's; the default is one every ten seconds for eight hours.
        gap_seconds: who only looks (impressions, clicks, views, searches) at a median gap of at most this is a
            machine.
        least_looks: different instants that it takes to judge somebody by the gap.
    """

    on: bool = False
    by: Literal["user", "session"] = "user"
    per_hour: int = 600
    per_day: int = 2880
    gap_seconds: float = 1.0
    least_looks: int = 200

    def check(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            IngestError: a number out of its range.
        """
        if min(self.per_hour, self.per_day) < 1 or self.gap_seconds < 0 or self.least_looks < 3:
            what = "per_hour and per_day must be 1 or more, gap_seconds 0 or more, least_looks 3 or more"
            raise IngestError(what, "ingest.bots", "correct the setting")


BotCheck = Callable[[BotSettings, str], str]
"""Settings, relation of the events not yet set aside -> SELECT of the offenders' __ord."""


def _bots(settings: BotSettings, events: str) -> str:
    unit = {"user": "user_id", "session": "session_id"}[settings.by]
    together = ", ".join(map(literal, TOGETHER))
    working = ", ".join(literal(e) for e in EVENTS if e not in LOOKING)
    return f"""
        WITH acts AS (  -- a row that stands twice in the source has one event_id
            SELECT DISTINCT {unit} AS unit, "time" AS moment, event IN ({working}) AS works,
                CASE WHEN event IN ({together}) THEN '' ELSE event_id END AS act
            FROM {events} WHERE {unit} IS NOT NULL AND "time" IS NOT NULL),
        hours AS (
            SELECT unit FROM acts GROUP BY unit, time_bucket(INTERVAL 1 HOUR, moment)
            HAVING count(DISTINCT (moment, act)) > {settings.per_hour:d} AND count(DISTINCT moment) > 1),
        days AS (
            SELECT unit FROM acts GROUP BY unit, time_bucket(INTERVAL 1 DAY, moment)
            HAVING count(DISTINCT (moment, act)) > {settings.per_day:d}),
        lookers AS (
            SELECT unit FROM acts GROUP BY unit
            HAVING NOT bool_or(works) AND count(DISTINCT moment) >= {settings.least_looks:d}),
        gaps AS (
            SELECT unit, epoch_us(moment) - lag(epoch_us(moment)) OVER (PARTITION BY unit ORDER BY moment) AS gap
            FROM (SELECT DISTINCT unit, moment FROM acts WHERE unit IN (FROM lookers))),
        fast AS (
            SELECT unit FROM gaps WHERE gap IS NOT NULL GROUP BY unit
            HAVING median(gap) <= {round(settings.gap_seconds * 1_000_000):d})
        SELECT __ord FROM {events}
        WHERE {unit} IN (SELECT unit FROM hours UNION SELECT unit FROM days UNION SELECT unit FROM fast)"""


BOT_RULE: CleaningRule[BotCheck] = CleaningRule(
    "bot",
    Action.QUARANTINE,
    ("events",),
    "the user (or session) acts at the rate of a machine (settings in [ingest.bots])",
    _bots,
    optional=True,
)
"""The rule."""
