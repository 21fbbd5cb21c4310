"""What may be said in a notice, checked before it becomes a row."""

from collections.abc import Iterator
from datetime import date
from typing import Annotated

from pydantic import Field

from ..drafts import Draft, LanguageTag, LongText, Title
from ..errors import Message, say


class NoticeDraft(Draft):
    """`shown_until`: the last day; None: it goes on."""

    title: Title
    text: Annotated[LongText, Field(min_length=1)]  # Markdown
    language: LanguageTag
    shown_from: date
    shown_until: date | None = None
    is_top: bool = False

    def contradictions(self) -> Iterator[tuple[str, Message]]:
        if self.shown_until is not None and self.shown_until < self.shown_from:
            yield "shown_until", say("The last day is before the first.")
