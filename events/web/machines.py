"""What machines ask of any site: whether it is well, its icons and manifest, whom to tell of a hole, what robots should
leave alone.
"""

from collections.abc import Callable
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from ..branches import queries as branches
from ..errors import NotFound, say
from ..later import loaded_later
from ..migrations import is_newest
from ..palette import LIGHT_GROUNDS
from . import icons
from .endpoints import in_thread, now
from .environment import link, prefixed
from .state import language_of, state_of

if TYPE_CHECKING:
    from ..messages import outbox
else:
    outbox = loaded_later("events.messages.outbox")

DAY_S, YEAR_S = 86_400, 31_536_000
SHORT = 12  # characters: what fits below an icon on a home screen
EXPIRES_AFTER = timedelta(days=180)  # RFC 9116 2.5.5: less than a year
# Of no use to a search engine, in no language: what is private, what is one person's, what only programs read.
NOT_FOR_ROBOTS = (
    *("/organize", "/account", "/sign-in", "/password"),
    *("/subscriptions/", "/contact-copies/", "/api/"),
)


async def healthz(request: Request) -> Response:
    return PlainTextResponse("ok\n")


def readyz(request: Request, session: Session) -> Response:
    """503 until the database has the newest schema; the state of the worker is told, and never counts."""
    if not is_newest(session.connection()):
        return JSONResponse({"status": "the database is not at the newest schema"}, 503)
    number, oldest = outbox.waiting(session)
    lag = int((now() - oldest).total_seconds()) if oldest else 0
    return JSONResponse({"status": "ready", "mails_waiting": number, "oldest_mail_s": lag})


class Manifest(JSONResponse):
    media_type = "application/manifest+json"


async def manifest(request: Request) -> Response:
    """For putting the site on a home screen. It promises no working without a network: there is no service worker."""
    state, spoken = state_of(request), language_of(request)
    description = state.identity.description.get(spoken.code, "")
    values = {
        "id": "/",
        "name": state.settings.name,
        "short_name": short(state.settings.name),
        **({"description": description} if description else {}),
        "lang": spoken.code,
        "dir": spoken.direction,
        "start_url": link(spoken.code, "/", {}),
        "scope": "/",
        "display": "minimal-ui",
        "theme_color": state.identity.palette.brand,
        "background_color": LIGHT_GROUNDS[0],
        "icons": [
            {"src": address, "type": "image/png", "sizes": f"{pixels}x{pixels}", "purpose": purpose}
            for size, purpose in (("192", "any"), ("512", "any"), ("maskable", "maskable"))
            for address, pixels in [(icons.address(state.identity, size), icons.SIZES[size])]
            # What may be cut off an operator's icon, nobody has told us.
            if purpose == "any" or state.identity.icon is None
        ],
    }
    return Manifest(values, headers={"Cache-Control": f"public, max-age={DAY_S}"})


def short(name: str) -> str:
    """Its first words, as many as fit."""
    words = name.split() or [name]
    kept = words[0]
    for word in words[1:]:
        if len(kept) + 1 + len(word) > SHORT:
            break
        kept += f" {word}"
    return kept


# ---------------------------------------------------------------- icons


async def icon(request: Request) -> Response:
    """For ever at the address that names its version, for a day at any other."""
    size, identity = request.path_params["size"], state_of(request).identity
    if size not in icons.SIZES:
        raise NotFound
    is_named = request.query_params.get("v") == icons.version_of(identity)
    age = f"public, max-age={YEAR_S}, immutable" if is_named else f"public, max-age={DAY_S}"
    return await _drawn(request, lambda: icons.png(identity.palette, identity.icon, size), "image/png", age)


async def touch_icon(request: Request) -> Response:
    """At the address that telephones try when a page names none."""
    identity = state_of(request).identity
    return await _drawn(request, lambda: icons.png(identity.palette, identity.icon, icons.TOUCH), "image/png")


async def favicon(request: Request) -> Response:
    identity = state_of(request).identity
    return await _drawn(request, lambda: icons.ico(identity.palette, identity.icon), "image/x-icon")


async def _drawn(
    request: Request, draw: Callable[[], bytes], media_type: str, age: str = f"public, max-age={DAY_S}"
) -> Response:
    """Drawing takes some hundredths of a second, once: not in the loop that serves everybody."""
    content = await in_thread(state_of(request).threads, draw)
    return Response(content, media_type=media_type, headers={"Cache-Control": age})


# ---------------------------------------------------------------- well-known files


def security(request: Request, session: Session) -> Response:
    """RFC 9116. Whoever asks later is told a later day, so what it says never expires while the site runs.

    Without a contact in site.toml it is the contact form of the branch at the top, which reaches a person in the end:
    a finder who sees no file would look for that form anyway. `branchline doctor` warns of it.
    """
    state = state_of(request)
    contact = state.identity.security or _top_contact(request, session)
    if not contact:
        raise NotFound(say("This site does not say whom to tell of a security problem."))
    expires = datetime.combine((now() + EXPIRES_AFTER).date(), time())
    lines = [
        f"Contact: {contact}",
        f"Expires: {expires:%Y-%m-%dT%H:%M:%SZ}",
        f"Preferred-Languages: {', '.join(state.settings.locales)}",
    ]
    if state.settings.secure:  # RFC 9116 2.5.2: nothing else is an address that can be trusted
        lines.append(f"Canonical: {state.settings.public_url}/.well-known/security.txt")
    headers = {"Cache-Control": f"public, max-age={DAY_S}"}
    return PlainTextResponse("\n".join([*lines, ""]), headers=headers)


def _top_contact(request: Request, session: Session) -> str:
    top = branches.parent_or_top(session, None)
    return f"{state_of(request).settings.public_url}/branches/{top.slug}/contact" if top else ""


async def robots(request: Request) -> Response:
    settings = state_of(request).settings
    closed = [f"Disallow: {prefixed(code, path)}" for code in settings.locales for path in NOT_FOR_ROBOTS]
    return PlainTextResponse(
        "\n".join(["User-agent: *", *closed, "", f"Sitemap: {settings.public_url}/sitemap.xml", ""])
    )


async def change_password_address(request: Request) -> Response:
    return RedirectResponse("/account#password", 302)
