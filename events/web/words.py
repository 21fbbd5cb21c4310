"""Access, topics, languages and groups of fields in words; recurrence rules are said a floor below."""

from collections.abc import Iterable, Sequence

from sqlmodel import Session
from starlette.requests import Request

from ..calendars.offered import topics_called, topics_offered
from ..calendars.rule_words import NTH as NTH
from ..calendars.rule_words import rule_in_words as rule_in_words
from ..drafts import ACCESS
from ..errors import Message, say
from ..language import Language
from ..places.naming import fold
from .state import language_of, shared

ACCESS_WORDS = {
    "step-free": say("Step-free"),
    "hearing-loop": say("Hearing loop"),
    "sign-language": say("Sign language"),
    "childcare": say("Childcare"),
    "free": say("Free of charge"),
    "accessible-toilet": say("Accessible toilet"),
    "parking": say("Parking"),
}


OTHER_TOPICS = say(
    "These are the topics most used. Any other has a page of its own: the events that have it lead there."
)

# The groups of `calendars.memory`, within a sentence.
EDITED_WORDS = {
    "title": say("title"),
    "description": say("description"),
    "language": say("language"),
    "when": say("day and time"),
    "place": say("place"),
    "registration_url": say("registration"),
    "contact": say("contact"),
    "cost": say("cost"),
    "topics": say("topics"),
    "access": say("access"),
    "state": say("whether it takes place"),
    "translations": say("what it says in other languages"),
    "dates": say("single dates"),
}


def access_in_words(spoken: Language, words: Iterable[str]) -> str:
    """As one phrase: its first letter is a capital, as in a form, the others are not."""
    said = [spoken.say(ACCESS_WORDS[word]) if word in ACCESS_WORDS else word for word in words]
    return spoken.listed(
        [phrase if number == 0 else phrase[:1].lower() + phrase[1:] for number, phrase in enumerate(said)]
    )


def access_options(spoken: Language) -> list[tuple[str, str]]:
    return [(word, spoken.say(ACCESS_WORDS[word])) for word in ACCESS]


def branch_access_options(spoken: Language) -> list[tuple[str, str]]:
    """What branches say of their rooms; that something is free, events say."""
    return [(word, spoken.say(sentence)) for word, sentence in ACCESS_WORDS.items() if word != "free"]


def topic_options(
    request: Request, session: Session, chosen: Sequence[str] = (), more: Message = OTHER_TOPICS
) -> tuple[list[tuple[str, str]], str]:
    """The topics most used and those whose slugs are `chosen`, even if none is called so, by name.

    And `more` in words if there are others.
    """
    offered = shared(request, "topics", lambda: topics_offered(session))
    named = dict(offered.names)
    if missing := [slug for slug in chosen if slug and slug not in named]:
        named |= {slug: slug for slug in missing} | dict(topics_called(session, missing))
    options = sorted(named.items(), key=lambda option: fold(option[1]))
    return options, language_of(request).say(more) if offered.more else ""


def language_options(spoken: Language, tags: Iterable[str]) -> list[tuple[str, str]]:
    """Languages by their names in the reader's language."""
    named = [(tag, language_name(spoken, tag)) for tag in dict.fromkeys(tags) if tag]
    known = [(tag, name) for tag, name in named if name != tag]  # a code that nobody can read is no choice
    return sorted(known, key=lambda choice: fold(choice[1]))


def language_name(spoken: Language, tag: str) -> str:
    return str(spoken.locale.languages.get(tag.split("-")[0], tag))
