"""Which branches hold an event: its own, and others that are named as co-hosts. They are told, and may decline."""

import re

from sqlmodel import Session

from ..branches import queries
from ..branches.models import Branch
from ..calendars.content import Told
from ..calendars.models import HostingRefusal
from ..errors import InvalidForm, say
from ..language import Language
from ..people import joining
from .forms import Form

MOST_HOSTS = 20
CHOICES_NAMED = 5


def hosts_of(
    session: Session, form: Form, owner: Branch, told: Told | None, spoken: Language
) -> list[Branch]:
    """The owner first, then co-hosts: those that stay ticked, and new ones by name. Raises InvalidForm."""
    there = {host.id for host in told.hosts} if told else set()
    wanted = [*ticked(session, form), *(named(session, name, spoken, "new_hosts") for name in _names(form))]
    hosts = list({host.id: host for host in (owner, *wanted)}.values())
    if len(hosts) > MOST_HOSTS:
        message = say("At most %(most)d branches can hold one event.", most=MOST_HOSTS)
        raise InvalidForm({"new_hosts": message})
    for host in hosts[1:]:
        if host.id not in there:
            _check_new(session, told, host)
    return hosts


def _check_new(session: Session, told: Told | None, host: Branch) -> None:
    """What is sent as if it was there before is new all the same, when it is not (any more)."""
    if told is not None and session.get(HostingRefusal, (told.event.id, host.id)) is not None:
        message = say("%(name)s does not want to be named for this event.", name=host.name)
        raise InvalidForm({"new_hosts": message})
    if host.status not in queries.FOUND:
        raise InvalidForm({"new_hosts": say("%(name)s is not active any more.", name=host.name)})


def ticked(session: Session, form: Form) -> list[Branch]:
    """Those that hold it beside its owner, and stay."""
    slugs = [slug for slug in form.all("hosts") if slug != form["branch"]]
    return queries.at_slugs(session, list(dict.fromkeys(slugs))[:MOST_HOSTS])


def _names(form: Form) -> list[str]:
    return [name for name in (part.strip() for part in re.split(r"[;\n]", form["new_hosts"])) if name]


def named(
    session: Session, name: str, spoken: Language, field: str, within: joining.Ids | None = None
) -> Branch:
    """The only one that may be meant, as `joining.called` reads it. Raises InvalidForm."""
    found = joining.called(session, name, within)
    if len(found) == 1:
        return found[0]
    if not found:
        raise InvalidForm({field: say("There is no branch called “%(slug)s”.", slug=name[:80])})
    names = spoken.listed([_told_apart(branch) for branch in found[:CHOICES_NAMED]], "or")
    message = say(
        "“%(name)s” may be one of several branches: %(names)s. Write it out.", name=name[:80], names=names
    )
    raise InvalidForm({field: message})


def _told_apart(branch: Branch) -> str:
    return f"{branch.name} (/branches/{branch.slug})"
