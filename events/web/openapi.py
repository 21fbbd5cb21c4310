"""`/openapi.json` (OpenAPI 3.1): what `/api/v1` takes and answers, for programs that read such a description.

Addresses, methods and who may use them are the routing table's; what is sent are the drafts; what is answered are the
records that the serializers promise to mypy, and the columns of branches. Only what none of these says stands here:
which of them belong to which address. An address that is missing here raises KeyError.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args, get_origin, get_type_hints, is_typeddict

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ..branches.drafts import SLUG_LENGTH
from ..branches.formats import HIDDEN, PUBLIC_COLUMNS
from ..branches.models import Branch
from ..calendars.drafts import EventDraft, OverrideDraft
from ..calendars.formats import DateRecord, EventRecord
from ..calendars.models import State
from ..drafts import ACCESS
from ..places.formats import PlaceRecord
from .api_drafts import DATE_FIELDS, DAY, FIELDS, MOMENT
from .api_writing import LONGEST_KEY
from .changing import CancellationDraft
from .endpoints import Declared, declared
from .finding import LONGEST_TEXT
from .hosting import MOST_HOSTS
from .responses import Problem
from .security import API
from .state import state_of
from .words import ACCESS_WORDS

Schema = dict[str, Any]

LARGEST_NUMBER = 999_999_999  # that is read in an address
VERSION = "1.0.0"  # of what is described: /api/v1
_REF = "#/components/schemas/{model}"
_WHEN = f"^(?:{MOMENT.pattern}|{DAY.pattern})$"
_JSON, _PROBLEM = "application/json", str(Problem.media_type)


def description(request: Request, session: Session) -> Response:
    settings = state_of(request).settings
    return JSONResponse(document(request.app.routes, settings.name, settings.public_url))


def document(routes: Sequence[BaseRoute], name: str, address: str) -> Schema:
    paths: dict[str, Schema] = {}
    for said in described(routes):
        for method in said.methods:
            paths.setdefault(said.path, {})[method.lower()] = _operation(method, said)
    return {
        "openapi": "3.1.0",
        "info": {"title": name, "version": VERSION},
        "servers": [{"url": address}],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "responses": {"Problem": _answer_of(_ref("Problem"), "What was wrong.", _PROBLEM)},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def described(routes: Sequence[BaseRoute]) -> Iterable[Declared]:
    """Those of the routes that are for programs."""
    return [declared(each) for each in routes if isinstance(each, Route) and each.path.startswith(API)]


# ---------------------------------------------------------------- schemas


def _ref(name: str) -> Schema:
    return {"$ref": _REF.format(model=name)}


def _object(properties: Schema, required: Iterable[str]) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(required),
        "additionalProperties": False,
    }


def _list_of(name: str) -> Schema:
    return {"type": "array", "items": _ref(name)}


def _either(*schemas: Schema) -> Schema:
    return {"anyOf": list(schemas)}


_TEXT, _NOTHING, _TRUTH, _NUMBER = ({"type": kind} for kind in ("string", "null", "boolean", "number"))


class _AsTyped(GenerateJsonSchema):
    """A time is written by the wall clock, with or without its offset: JSON Schema's date-time always has one."""

    def datetime_schema(self, schema: core_schema.DatetimeSchema) -> Schema:
        return {"type": "string", "pattern": _WHEN}


def _of_draft(draft: type[BaseModel], fields: Iterable[str]) -> tuple[Schema, Schema, set[str]]:
    """The schemas of these fields, of the drafts within them by name, and which of the fields are needed."""
    whole = draft.model_json_schema(schema_generator=_AsTyped, ref_template=_REF)
    kept = {name: whole["properties"][name] for name in sorted(fields)}
    return kept, whole.get("$defs", {}), kept.keys() & set(whole.get("required", ()))


def _of_record(record: Any) -> Schema:
    """Of a TypedDict, all of whose keys are there."""
    hints = get_type_hints(record)
    return _object({name: _of_type(hint) for name, hint in hints.items()}, hints)


def _of_type(hint: Any) -> Schema:
    if is_typeddict(hint):
        return _of_record(hint)
    if get_origin(hint) is list:
        return {"type": "array", "items": _of_type(get_args(hint)[0])}
    adapter: TypeAdapter[Any] = TypeAdapter(hint)
    return adapter.json_schema()


def _with(schema: Schema, more: Schema, needed: Iterable[str] = ()) -> Schema:
    return _object({**schema["properties"], **more}, {*schema["required"], *needed})


def _branch() -> Schema:
    """A column has the type that the table gives it, unless `formats.public` makes a list of it."""
    lists, slugs = ("links", "languages", "accessibility"), ("parent_slug", "successor_slug")
    properties = {
        name: _of_type(Branch.model_fields[name].annotation)
        for name in PUBLIC_COLUMNS
        if name not in (*lists, *slugs)
    }
    properties |= {name: {"type": "array", "items": _TEXT} for name in lists}
    properties |= {name: _either(_TEXT, _NOTHING) for name in slugs} | {"page_url": _TEXT}
    serves = _object({"certain": _TRUTH, "why": _TEXT}, ("certain", "why"))
    near = {"distance_km": _NUMBER, "serves": serves}
    return _object(properties | near, properties.keys() - HIDDEN)


def _schemas() -> dict[str, Schema]:
    event, drafts, needed = _of_draft(EventDraft, FIELDS)
    date, _, _ = _of_draft(OverrideDraft, DATE_FIELDS)
    cancellation, _, why = _of_draft(CancellationDraft, CancellationDraft.model_fields)
    hosts = {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": MOST_HOSTS}
    event, revision = event | {"branches": hosts}, {"revision": _TEXT}
    first = {
        "state": {"enum": [State.DRAFT, State.PUBLISHED], "default": State.DRAFT},
        "key": {"type": "string", "maxLength": LONGEST_KEY},
    }
    return {
        **drafts,
        "NewEvent": _object(event | first, (needed - {"timezone"}) | {"branches"}),
        "ChangedEvent": _object(event | revision, ()),
        "ChangedDate": _object(date | revision, ()),
        "Cancellation": _object(cancellation | revision, why),
        "Edition": _object(revision, ()),
        "Branch": _branch(),
        "Place": _of_record(PlaceRecord),
        "Event": _with(_of_record(EventRecord), {"occurrences_url": _TEXT, **revision}, ["occurrences_url"]),
        "Date": _with(_of_record(DateRecord), revision),
        "Problem": _problem(),
        **{f"{name}List": _page_of(name) for name in ("Branch", "Event", "Date")},
        "NearestBranches": _nearest(),
        "PlaceList": _object(
            {"items": _list_of("Place"), "elsewhere": _list_of("Place"), "detail": _TEXT}, ["items"]
        ),
    }


def _page_of(name: str) -> Schema:
    found = {"interpretations": _list_of("Place"), "detail": _TEXT} if name != "Branch" else {}
    return _object({"items": _list_of(name), "next": _either(_TEXT, _NOTHING), **found}, ("items", "next"))


def _nearest() -> Schema:
    always = {"items": _list_of("Branch"), "interpretations": _list_of("Place")}
    searched = {"online": _list_of("Branch"), "next": _either(_TEXT, _NOTHING), "detail": _TEXT}
    return _object(always | searched, always)


def _problem() -> Schema:
    """RFC 9457, and with `errors` what is wrong with each field by its path."""
    always = {"type": _TEXT, "title": _TEXT, "status": {"type": "integer"}, "detail": _TEXT}
    return _object(always | {"errors": {"type": "object", "additionalProperties": _TEXT}}, always)


# ---------------------------------------------------------------- parameters


def _several(words: Iterable[str] = ()) -> Schema:
    items = {"enum": list(words)} if words else _TEXT
    return {"type": "array", "items": items, "maxItems": 50}


_SLUG = {**_TEXT, "pattern": "^[a-z0-9-]+$", "maxLength": SLUG_LENGTH}
_COUNTED = {"type": "integer", "minimum": 1, "maximum": LARGEST_NUMBER}
_IN_QUERY: Mapping[str, Schema] = {
    "near": {**_TEXT, "examples": ["60614", "Madrid", "41.92,-87.64"]},
    "country": {**_TEXT, "examples": ["US"]},
    "within": {**_TEXT, "pattern": r"^\d{1,5}([.,]\d{1,2})? ?(mi|km)?$", "examples": ["25mi", "40km"]},
    "branch": _several(),
    "topic": _several(),
    "from": {**_TEXT, "format": "date"},
    "to": {**_TEXT, "format": "date"},
    "online": {"enum": ["yes", "no"]},
    "language": {**_TEXT, "pattern": "^[A-Za-z0-9-]*$", "maxLength": 20},
    "access": _several(ACCESS),
    "q": {**_TEXT, "maxLength": LONGEST_TEXT},
    "page": _COUNTED,
    "event": _COUNTED,
    "open": {"enum": ["now", "week"]},
}
_IN_PATH: Mapping[str, Schema] = {"id": _COUNTED, "slug": _SLUG, "start": {**_TEXT, "pattern": _WHEN}}
_IN_HEADER: Mapping[str, Schema] = {
    "If-Match": {**_TEXT, "pattern": '^(\\*|"[^"]*"(, ?"[^"]*")*)$'},
    "Idempotency-Key": {**_TEXT, "maxLength": LONGEST_KEY},
}
_OF_EVENTS = (
    *("near", "country", "within", "branch", "topic", "from", "to"),
    *("online", "language", "access", "q", "page"),
)
_OF_BRANCHES = ("country", "language", "access", "page")


def _parameters(said: Declared, operation: "_Operation") -> Iterable[Schema]:
    for name in re.findall(r"{(\w+)}", said.path):
        yield {"name": name, "in": "path", "required": True, "schema": _IN_PATH[name]}
    for name in operation.query:
        schema = _IN_QUERY[name]
        if name == "access" and "branches" in said.path:
            schema = _several(ACCESS_WORDS)
        yield {"name": name, "in": "query", "schema": schema}
    for name in operation.headers:
        yield {"name": name, "in": "header", "schema": _IN_HEADER[name]}


# ---------------------------------------------------------------- operations


@dataclass(frozen=True, slots=True)
class _Operation:
    """`answer` and `body` are names of schemas. `problems`: beside those that any request may meet."""

    summary: str
    answer: str
    status: int = 200
    query: Sequence[str] = ()
    headers: Sequence[str] = ()
    body: str = ""
    problems: Sequence[int] = ()
    moves: bool = False  # a former address redirects


_ANY_PROBLEM = (400, 401, 413, 422, 429, 431, 503)
_CHANGE_PROBLEMS = (404, 409, 410, 412, 415)
_IF_MATCH = ("If-Match",)
_OPERATIONS: Mapping[tuple[str, str], _Operation] = {
    ("GET", "/branches"): _Operation(
        "Branches that are not closed, by slug", "BranchList", query=_OF_BRANCHES, problems=[404]
    ),
    ("GET", "/branches/near"): _Operation(
        "The branches that serve a place, then the nearest",
        "NearestBranches",
        query=("near", "country", "within", "open", "language", "access", "page"),
        problems=[404],
    ),
    ("GET", "/branches/{slug}"): _Operation("One branch", "Branch", problems=[404, 410], moves=True),
    ("GET", "/places"): _Operation("How a place is read, offline", "PlaceList", query=("q", "country")),
    ("GET", "/events"): _Operation(
        "One item for each event or series", "EventList", query=_OF_EVENTS, problems=[404]
    ),
    ("POST", "/events"): _Operation(
        "A new event", "Event", 201, (), ("Idempotency-Key",), "NewEvent", (404, 409, 410, 415)
    ),
    ("GET", "/events/{id}"): _Operation("One event", "Event", problems=[404, 410]),
    ("PATCH", "/events/{id}"): _Operation(
        "What is sent takes the place of what was", "Event", 200, (), _IF_MATCH, "ChangedEvent",
        (*_CHANGE_PROBLEMS, 428),
    ),
    ("DELETE", "/events/{id}"): _Operation(
        "Removes an event", "", 204, (), _IF_MATCH, "Edition", _CHANGE_PROBLEMS
    ),
    ("POST", "/events/{id}/cancellation"): _Operation(
        "It does not take place, and why", "Event", 200, (), _IF_MATCH, "Cancellation", _CHANGE_PROBLEMS
    ),
    ("POST", "/events/{id}/publication"): _Operation(
        "Brings a draft out, takes a cancellation back", "Event", 200, (), _IF_MATCH, "Edition",
        _CHANGE_PROBLEMS,
    ),
    ("PUT", "/events/{id}/dates/{start}"): _Operation(
        "One date of a series differs", "Date", 200, (), _IF_MATCH, "ChangedDate", _CHANGE_PROBLEMS
    ),
    ("DELETE", "/events/{id}/dates/{start}"): _Operation(
        "One date is as the series again", "Date", 200, (), _IF_MATCH, "Edition", _CHANGE_PROBLEMS
    ),
    ("GET", "/occurrences"): _Operation(
        "One item for each date", "DateList", query=("event", *_OF_EVENTS), problems=[404, 410]
    ),
}  # fmt: skip


def _operation(method: str, said: Declared) -> Schema:
    operation = _OPERATIONS[method, "/" + said.path.removeprefix(API).partition("/")[2]]
    found: Schema = {
        "summary": operation.summary,
        "parameters": list(_parameters(said, operation)),
        "responses": _responses(operation),
        "security": [{"token": []}] if said.writes else [{}, {"token": []}],
    }
    if operation.body:
        content = {_JSON: {"schema": _ref(operation.body)}}
        found["requestBody"] = {"content": content, "required": operation.body.startswith("New")}
    return found


def _responses(operation: _Operation) -> Schema:
    good: Schema = {"description": "Done."}
    if operation.answer:
        good = _answer_of(_ref(operation.answer), "Done.")
    if operation.headers and operation.answer:
        good["headers"] = {"ETag": {"schema": _TEXT}}
    found = {operation.status: good}
    if operation.status == 201:
        found[200] = good  # with the same key once more
    if operation.moves:
        found[301] = {
            "description": "It is called otherwise now.",
            "headers": {"Location": {"schema": _TEXT}},
        }
    problems = {"$ref": "#/components/responses/Problem"}
    found |= dict.fromkeys((*_ANY_PROBLEM, *operation.problems), problems)
    return {str(status): found[status] for status in sorted(found)}


def _answer_of(schema: Schema, words: str, kind: str = _JSON) -> Schema:
    return {"description": words, "content": {kind: {"schema": schema}}}
