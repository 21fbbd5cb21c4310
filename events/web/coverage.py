"""What an admin should look at among the branches."""

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..branches.coverage import SHOWN, Check, coverage
from ..errors import Message
from ..places.geo import Distance
from .endpoints import now
from .rows import distance_text
from .state import state_of
from .templating import render


def page(request: Request, session: Session) -> Response:
    found = coverage(session, state_of(request).gazetteer, now())
    return render(
        request,
        "organize/coverage.html",
        branches=found.branches,
        has_directory=found.has_directory,
        checks=[_check(request, check) for check in found.checks],
        most=SHOWN,
    )


def _check(request: Request, check: Check) -> dict[str, object]:
    return {
        "key": check.kind.key,
        "title": check.kind.title,
        "advice": check.kind.advice,
        "total": check.total,
        "findings": [
            {
                "branches": finding.branches,
                "others": finding.others,
                "message": _measured(request, finding.message),
            }
            for finding in check.findings
        ],
    }


def _measured(request: Request, message: Message) -> Message:
    """With distances in the reader's unit."""
    values = {
        name: distance_text(request, value) if isinstance(value, Distance) else value
        for name, value in message.values.items()
    }
    return Message(message.text, values)
