"""How tables are cleaned: the settings of the room, each part beside its own code."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from ingest.bots import BotSettings
from ingest.disclosure import Disclosure
from ingest.enrich.infer import InferSettings
from ingest.enrich.labels import LabelSettings
from ingest.linkage.settings import LinkSettings
from ingest.monitor.thresholds import QualitySettings
from ingest.outliers import OutlierSettings
from ingest.privacy import PrivacySettings
from ingest.run_options import RunOptions


@dataclass(frozen=True)
class IngestSettings:
    """How tables are cleaned.

    Attributes:
        dangling: what becomes of rows that name a product which the products table lacks: `quarantine` them or
            `create` the product; a mapping that says otherwise wins.
        earliest: rows with an earlier time are quarantined.
        threads: of the working database; the result does not depend on it.
        memory_limit: of the working database, which spills to disk beyond; nor on this.
        privacy: what becomes of personal data.
        bots: users who act like machines.
        outliers: quantities and prices far beyond what is usual.
        infer: missing brands and categories of products.
        labels: labels of users and products.
        quality: thresholds that the data must keep, and how many builds are remembered.
        link: how the accounts of several channels are resolved to users.
    """

    dangling: str = "quarantine"
    earliest: datetime = field(default=datetime(1990, 1, 1, tzinfo=UTC))
    threads: int = 2
    memory_limit: str = "3GB"
    privacy: PrivacySettings = field(default_factory=PrivacySettings)
    bots: BotSettings = field(default_factory=BotSettings)
    outliers: OutlierSettings = field(default_factory=OutlierSettings)
    infer: InferSettings = field(default_factory=InferSettings)
    labels: LabelSettings = field(default_factory=LabelSettings)
    quality: QualitySettings = field(default_factory=QualitySettings)
    link: LinkSettings = field(default_factory=LinkSettings)

    def options(self, as_of: datetime, given: datetime | None, dangling: str, disclosure: Disclosure) -> RunOptions:
        """What a run takes of the settings.

        Args:
            as_of: events may lie at most a day after it.
            given: the as-of date if one was given, which labels then are as of.
            dangling: what the source says, or else these settings.
            disclosure: what of personal data may be written.
        """
        rules = (self.bots, self.outliers, self.infer, self.labels, self.link)
        return RunOptions(as_of, self.earliest, dangling, disclosure, *rules, given)
