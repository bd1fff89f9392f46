"""How the tables of a build are cleaned, as one run takes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from ingest.bots import BotSettings
from ingest.disclosure import Disclosure
from ingest.enrich.infer import InferSettings
from ingest.enrich.labels import LabelSettings
from ingest.linkage.settings import LinkSettings
from ingest.outliers import OutlierSettings


@dataclass(frozen=True)
class RunOptions:
    """How the tables of a build are cleaned.

    Attributes:
        as_of: events may lie at most a day after it.
        earliest: no time lies before it.
        dangling: `quarantine` or `create`.
        disclosure: what of personal data may be written.
        bots: users who act like machines.
        outliers: values far beyond what is usual.
        infer: missing brands and categories.
        labels: labels of users and products.
        link: how accounts are resolved to users.
        reference: the date that labels are as of; None: that of the last event.
    """

    as_of: datetime
    earliest: datetime
    dangling: str
    disclosure: Disclosure = field(default_factory=Disclosure)
    bots: BotSettings = field(default_factory=BotSettings)
    outliers: OutlierSettings = field(default_factory=OutlierSettings)
    infer: InferSettings = field(default_factory=InferSettings)
    labels: LabelSettings = field(default_factory=LabelSettings)
    link: LinkSettings = field(default_factory=LinkSettings)
    reference: datetime | None = None
