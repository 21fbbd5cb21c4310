"""The least that a site like this can be: Starlette, a table of SQLModel and a route that looks into it."""

from sqlalchemy.pool import StaticPool
from sqlmodel import Field, Session, SQLModel, create_engine, select
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route


class Thing(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str


# In memory, so that all threads must share one connection.
engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})


def well(request: Request) -> PlainTextResponse:
    return PlainTextResponse("ok\n")


def look(request: Request) -> PlainTextResponse:
    with Session(engine) as session:
        return PlainTextResponse(f"{len(session.exec(select(Thing)).all())}\n")


def create_app() -> Starlette:
    SQLModel.metadata.create_all(engine)
    return Starlette(routes=[Route("/healthz", well), Route("/", look)])
