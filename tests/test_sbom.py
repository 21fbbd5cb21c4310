"""The bill of materials: complete, valid, the same each time, and of use against an installation."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = "requirements/sbom.py"
# What CycloneDX 1.6 asks of the parts that ours has; whatever else it allows, ours has not.
TEXT = {"type": "string", "minLength": 1}
LICENCES: dict[str, Any] = {
    "type": "array",
    "minItems": 1,
    "anyOf": [
        {"maxItems": 1, "items": {"required": ["expression"], "properties": {"expression": TEXT}}},
        {
            "items": {
                "required": ["license"],
                "additionalProperties": False,
                "properties": {"license": {"required": ["name"], "properties": {"name": TEXT}}},
            }
        },
    ],
}
HASH: dict[str, Any] = {
    "required": ["alg", "content"],
    "additionalProperties": False,
    "properties": {
        "alg": {"enum": ["SHA-256", "SHA-512"]},
        "content": {"type": "string", "pattern": "^([a-f0-9]{64}|[a-f0-9]{128})$"},
    },
}
COMPONENT: dict[str, Any] = {
    "type": "object",
    "required": ["type", "name", "bom-ref"],
    "additionalProperties": False,
    "properties": {
        "type": {"enum": ["application", "library", "data"]},
        "bom-ref": TEXT,
        "name": TEXT,
        "version": {"type": "string", "maxLength": 1024},
        "description": TEXT,
        "scope": {"enum": ["required", "optional", "excluded"]},
        "hashes": {"type": "array", "items": HASH},
        "licenses": LICENCES,
        "purl": {"type": "string", "pattern": "^pkg:(pypi|npm)/[^/@]+@[^/@]+$"},
        "properties": {
            "type": "array",
            "items": {"required": ["name", "value"], "properties": {"name": TEXT, "value": TEXT}},
        },
    },
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["bomFormat", "specVersion"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"const": "http://cyclonedx.org/schema/bom-1.6.schema.json"},
        "bomFormat": {"const": "CycloneDX"},
        "specVersion": {"const": "1.6"},
        "serialNumber": {
            "type": "string",
            "pattern": "^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
        },
        "version": {"type": "integer", "minimum": 1},
        "metadata": {"required": ["component"], "properties": {"component": COMPONENT}},
        "components": {"type": "array", "uniqueItems": True, "items": COMPONENT},
        "dependencies": {
            "type": "array",
            "items": {
                "required": ["ref"],
                "properties": {
                    "ref": TEXT,
                    "dependsOn": {"type": "array", "uniqueItems": True, "items": TEXT},
                },
            },
        },
    },
}


def written(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *arguments], cwd=ROOT, capture_output=True, text=True)


@pytest.fixture(scope="module")
def text() -> str:
    done = written()
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_bill_is_what_cyclonedx_describes(text: str) -> None:
    bill = json.loads(text)
    jsonschema_rs.validate(SCHEMA, bill)
    names = [each["bom-ref"] for each in bill["components"]]
    assert names == sorted(set(names))
    [root] = bill["dependencies"]
    assert set(root["dependsOn"]) <= set(names)


def test_the_bill_names_all_that_is_pinned_with_all_its_hashes(text: str) -> None:
    listed = {each["bom-ref"]: each for each in json.loads(text)["components"]}
    for lock, scope in (("requirements/run.txt", "required"), ("events/places/sources.txt", "optional")):
        lines = (ROOT / lock).read_text().replace("\\\n", " ").splitlines()
        for line in filter(lambda each: "==" in each, lines):
            name, version = re.findall(r"^([\w.-]+)==([^\s;]+)", line)[0]
            found = listed[f"pkg:pypi/{name}@{version}"]
            assert {each["content"] for each in found["hashes"]} == set(re.findall(r"sha256:(\w+)", line))
            assert found["scope"] == scope
    assert "pkg:npm/world-atlas@2.0.2" in listed
    assert listed[next(name for name in listed if "/starlette@" in name)]["licenses"]


def test_the_bill_is_the_same_each_time_and_names_no_machine(text: str, tmp_path: Path) -> None:
    assert written(str(tmp_path / "bill.json")).returncode == 0
    assert (tmp_path / "bill.json").read_text() == text
    assert re.search(r"https?://(?!cyclonedx\.org/schema)|files\.|registry|\d\d:\d\d:\d\d", text) is None
    assert str(ROOT) not in text and sys.prefix not in text


def test_an_installation_is_compared_with_what_is_pinned(tmp_path: Path) -> None:
    python = tmp_path / "python"
    pinned = re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / "requirements/run.txt").read_text(), re.MULTILINE)

    def holding(**changed: str | None) -> None:
        packages = {**dict(pinned), "pip": "1", **changed}
        python.write_text(f"#!/bin/sh\necho '{json.dumps({k: v for k, v in packages.items() if v})}'\n")
        python.chmod(0o700)

    holding()
    done = written("--check", str(python))
    assert (done.returncode, done.stdout) == (0, "What is installed is what is pinned.\n")
    holding(starlette="0.1", uvicorn=None, colorama=None, intruder="6.6.6")
    done = written("--check", str(python))
    versions = dict(pinned)
    assert (done.returncode, done.stdout.splitlines()) == (
        1,
        [
            f"starlette is 0.1, not {versions['starlette']}",
            f"uvicorn {versions['uvicorn']} is missing",
            "intruder 6.6.6 is not pinned",
        ],
    )
