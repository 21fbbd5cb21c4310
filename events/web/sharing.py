"""Telling a friend of a page without anybody in between: its address as a QR code that is drawn here."""

import io
from typing import TYPE_CHECKING

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..errors import Unreadable, say
from ..later import loaded_later
from .forms import query
from .responses import LOCAL_PATH
from .state import state_of

if TYPE_CHECKING:
    import segno
else:
    segno = loaded_later("segno")

LONGEST_PATH = 300  # characters: 20 ms to draw, and still readable by a telephone from paper
AGE_S = 604_800  # a code says nothing but its address


def qr(request: Request, session: Session) -> Response:
    """The code of one of our own pages: it never leads elsewhere, whoever made the link."""
    path = query(request)["to"]
    if len(path) > LONGEST_PATH or not LOCAL_PATH.fullmatch(path):
        raise Unreadable(
            say(
                "A code can only be drawn for a page of this site. Please write its path like this: /events/7"
            )
        )
    return Response(
        _drawn(state_of(request).settings.public_url + path),
        media_type="image/svg+xml",
        headers={"Cache-Control": f"public, max-age={AGE_S}"},
    )


def _drawn(address: str) -> bytes:
    """Black on white in the dark too, with the quiet zone that ISO/IEC 18004 asks for: cameras need both."""
    written = io.BytesIO()
    code = segno.make_qr(address, error="m")
    code.save(
        written,
        kind="svg",
        border=4,
        light="#fff",
        xmldecl=False,
        omitsize=True,
        svgclass=None,
        lineclass=None,
    )
    return written.getvalue()
