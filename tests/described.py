"""Requests made up from `/openapi.json`, and whether their answers are what it says: by Schemathesis."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import hypothesis
import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)

Send = Callable[[Mapping[str, Any]], Any]


def try_all(document: Mapping[str, Any], known: Mapping[str, str], send: Send, examples: int) -> Counter[str]:
    """So many requests of each operation as it is described, and so many that are not; every other one is for what
    is there. Counts answers by operation and status. Raises schemathesis' FailureGroup with what was otherwise.

    `known`: what stands in the path of what is there. `send` takes what a client of httpx does.
    """
    schema = schemathesis.openapi.from_dict(dict(document))
    schema.validate()
    found: Counter[str] = Counter()
    for each in schema.get_all_operations():
        operation = each.ok() if isinstance(each, Ok) else None
        assert operation is not None, each
        for mode in MODES:
            cases = operation.as_strategy(generation_mode=mode)
            _try(cases, known, send, examples, found)
    return found


def _try(
    cases: st.SearchStrategy[Any], known: Mapping[str, str], send: Send, examples: int, found: Counter[str]
) -> None:
    @hypothesis.seed(1)
    @hypothesis.settings(
        max_examples=examples,
        database=None,
        derandomize=True,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(cases, st.booleans())
    def tried(case: Case[Any], is_there: bool) -> None:
        if is_there:
            for name in set(case.path_parameters or ()) & known.keys():
                case.path_parameters[name] = known[name]
            if isinstance(case.body, dict) and "branches" in case.body:
                case.body["branches"] = [known["slug"]]
        answer = send(case.as_transport_kwargs(base_url="http://localhost"))
        found[f"{case.operation.label} {answer.status_code}"] += 1
        case.validate_response(answer, checks=CHECKS)

    tried()
