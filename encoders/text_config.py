"""What is said of a node in words: a template per label, and budgets."""

from __future__ import annotations

import string
from dataclasses import dataclass
from datetime import UTC, datetime

from encoders.errors import EncoderError

ALL_TIME = "all"
TEMPLATES = {"Product": "product", "Brand": "brand", "Category": "category", "Entity": "entity"}
"""Label to the setting that holds its template."""


@dataclass(frozen=True)
class TextConfig:
    """What is said of each kind of node: parts with a `{field}` each; one without a value is left out.

    The parts of a text are joined by ". ".

    Attributes:
        product: fields are Product's text properties; `brand`, unless brands are numbers; `category`, the names along
            the path that are not in the title; `category_path`, all of them; `attributes`, every text property that no
            other part says, with its name; `reviews`, snippets of reviews.
        brand: fields are Brand's text properties.
        category: fields are Category's text properties, and `path`, the names from the top.
        entity: fields are Entity's text properties.
        boilerplate: a sentence that so large a share of the shop's different descriptions has word for word (and 20 of
            them at least) is no description of anything and left out. 0: said.
        description_chars: a description is cut after so many characters. 0: whole (`encode.max_tokens` cuts the text).
        reviews: most reviews that a product's text quotes, the latest first.
        review_chars: a quoted review is cut after so many characters.
        reviews_until: only reviews before this instant (ISO 8601, UTC unless it says otherwise) are quoted; `all`
            quotes those of the test period too, which no evaluation may know.
    """

    product: tuple[str, ...] = ("{title}", "{brand}", "{category}", "{brand_kind}", "{attributes}", "{description}")
    brand: tuple[str, ...] = ("{name}",)
    category: tuple[str, ...] = ("{path}",)
    entity: tuple[str, ...] = ("{name}",)
    boilerplate: float = 0.05
    description_chars: int = 0
    reviews: int = 3
    review_chars: int = 200
    reviews_until: str = ""

    def __post_init__(self) -> None:
        """Refuse templates and budgets without a meaning.

        Raises:
            EncoderError: names the setting and what it may be.
        """
        for name in TEMPLATES.values():
            for part in getattr(self, name):
                if not fields_of(part, f"encode.text.{name}"):
                    raise EncoderError(
                        f"the part {part!r} names no field", f"encode.text.{name}", 'write fields as in "{title}"'
                    )
        for name in ("description_chars", "reviews", "review_chars"):
            if getattr(self, name) < 0:
                raise EncoderError(f"{name} = {getattr(self, name)}", f"encode.text.{name}", "use 0 or more")
        if not 0 <= self.boilerplate <= 1:
            raise EncoderError(f"boilerplate = {self.boilerplate}", "encode.text.boilerplate", "use 0 to 1")
        if self.reviews_until not in ("", ALL_TIME):
            _ = self.until
        if self.quotes_reviews and not self.reviews_until:
            remedy = 'set encode.text.reviews_until to the day from which on you evaluate, or to "all"'
            raise EncoderError("{reviews} would tell what an evaluation asks", "encode.text.product", remedy)

    @property
    def quotes_reviews(self) -> bool:
        """Whether a product's text holds reviews."""
        return self.reviews > 0 and any("reviews" in fields_of(part, "encode.text.product") for part in self.product)

    @property
    def until(self) -> datetime | None:
        """The instant before which reviews are quoted, None for all.

        Raises:
            EncoderError: `reviews_until` is no time.
        """
        if self.reviews_until in ("", ALL_TIME):
            return None
        try:
            moment = datetime.fromisoformat(self.reviews_until)
        except ValueError as error:
            raise EncoderError(
                f"{self.reviews_until!r} is no time", "encode.text.reviews_until", "write it as in 2017-08-01"
            ) from error
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    def template(self, label: str) -> tuple[str, ...]:
        """The parts of a label's template; none for a label without text."""
        parts: tuple[str, ...] = getattr(self, TEMPLATES[label]) if label in TEMPLATES else ()
        return parts


def fields_of(part: str, where: str) -> list[str]:
    """Names of the fields in one part of a template.

    Raises:
        EncoderError: braces that do not hold a plain name.
    """
    try:
        found = [(name, spec, conversion) for _, name, spec, conversion in string.Formatter().parse(part)]
    except ValueError as error:
        raise EncoderError(f"{part!r} is no template: {error}", where, 'write fields as in "{title}"') from error
    for name, spec, conversion in found:
        if name is not None and (not name.isidentifier() or spec or conversion):
            raise EncoderError(f"{part!r} is no template: {{{name}}}", where, 'write fields as in "{title}"')
    return [name for name, _, _ in found if name is not None]
