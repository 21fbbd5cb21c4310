"""All branches as a table: taking it, bringing it back, seeing what it would change, applying it."""

from collections.abc import Mapping

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..branches.comparing import CellChange
from ..branches.exchange import export_lines
from ..desk import sheets
from ..desk.models import BranchSheet
from ..desk.sheets import Line
from ..errors import Conflict, InvalidForm, Message, TooLarge, Unreadable, say
from ..language import Language
from .branch_form import COLUMN_WORDS, cell_in_words
from .endpoints import now, person_of
from .forms import EMPTY, NO_FAULTS, Form, form_key, page_number, query
from .responses import see_other
from .state import language_of, state_of
from .templating import render

USUAL = {
    "location_type": "physical",
    "status": "active",
    "confidential": "false",
}  # of a new branch: not told
LONGEST_CELL = 300  # letters of a cell that are shown


class Outdated(InvalidForm):
    """What was seen is not what would be done."""

    status = 409


def download(request: Request, session: Session) -> Response:
    """What `branches export` writes, private columns too: no cache may keep it."""
    return Response(
        "".join(export_lines(session)),
        media_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": 'attachment; filename="branches.csv"',
            "Cache-Control": "no-store",
        },
    )


def bring(request: Request, session: Session, form: Form) -> Response:
    body, person = form.files.get("file", b""), person_of(request)
    name = " ".join(form["file_name"].replace("\\", "/").rpartition("/")[2].split())
    if not body and not name:
        raise InvalidForm({"file": say("Choose the file of the table.")})
    try:
        sheet = sheets.bring(session, person, name, body, form_key(form), now())
    except (TooLarge, Unreadable) as error:
        raise InvalidForm({"file": error.message}) from error
    return see_other(request, f"/organize/branches/sheets/{sheet.id}")


def page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    """What the table would do. It is asked anew each time: branches may have changed since."""
    sheet, number = _sheet(request, session), page_number(query(request))
    found = sheets.preview(session, sheet, state_of(request).gazetteer, number, now())
    spoken = language_of(request)
    return render(
        request,
        "organize/sheet.html",
        sheet=sheet,
        preview=found,
        page=number,
        faults=faults,
        refusals=[(refusal.row, spoken.say(refusal.reason)) for refusal in found.refusals],
        notes=[spoken.say(note) for note in found.notes],
        lines=[_line(spoken, line) for line in found.lines],
    )


def apply(request: Request, session: Session, form: Form) -> Response:
    sheet, gazetteer = _sheet(request, session), state_of(request).gazetteer
    try:
        sheets.apply(session, sheet, form["seen"], gazetteer, person_of(request), now())
    except Conflict as error:
        raise Outdated({"seen": error.message}) from error
    return see_other(request, "/organize/branches", done="table")


def remove(request: Request, session: Session, form: Form) -> Response:
    session.delete(_sheet(request, session))
    return see_other(request, "/organize/branches", done="forgotten")


def _sheet(request: Request, session: Session) -> BranchSheet:
    number: str = request.path_params["id"]
    return sheets.sheet_of(session, person_of(request), number)


def _line(spoken: Language, line: Line) -> dict[str, object]:
    return {
        "row": line.row,
        "name": line.name,
        "href": "" if line.is_new else f"/branches/{line.slug}",
        "is_new": line.is_new,
        "cells": [
            _cell(spoken, cell)
            for cell in line.cells
            if not (line.is_new and USUAL.get(cell.column) == cell.new)
        ],
    }


def _cell(spoken: Language, cell: CellChange) -> tuple[str, str, str]:
    old, new = (_short(cell_in_words(spoken, cell.column, text)) for text in (cell.old, cell.new))
    return spoken.say(COLUMN_WORDS[cell.column]), old, new


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 1].rstrip()}…"
