"""docs/trust.md lists what is promised: each line names tests that are there, and a bench where one shows it longer."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROMISES = (ROOT / "docs" / "trust.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PROMISES)))
PARTS = sorted(set(re.findall(r"`\./dev bench trust (\w+)", PROMISES)))


def rows() -> list[str]:
    """Those of the tables, without their headings."""
    lines = [line for line in PROMISES.splitlines() if line.startswith("|")]
    return [line for line in lines if not re.match(r"\|\s*(-+|promise)\s*\|", line)]


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_each_test_that_is_named_is_there(file: str, name: str) -> None:
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("part", PARTS)
def test_each_bench_that_is_named_is_there(part: str) -> None:
    assert (ROOT / "bench" / f"_trust_{part}.py").is_file()


def test_each_promise_names_a_test() -> None:
    assert len(rows()) > 40
    assert [line for line in rows() if not re.search(r"`tests/[\w/]+\.py::\w+`", line)] == []
