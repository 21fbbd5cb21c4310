"""Writes a bill of materials, CycloneDX 1.6 as JSON: what Branchline is made of, from the files that pin it.

usage: ./dev sbom [FILE] [--check PYTHON]

Without FILE it goes to standard output. The same pins give the same bytes, so two of them can be compared; there is no
time in it for that reason. Licences are what the installed packages say of themselves; a package that is for another
system is not installed here, and has none. With --check nothing is written: the packages that PYTHON has installed are
compared with those that are pinned, a line for each difference; exit status 1 when there is one.
"""

import argparse
import ast
import base64
import json
import re
import subprocess
import sys
import tomllib
import uuid
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
RUN, BUILD = ROOT / "requirements/run.txt", ROOT / "requirements/build.txt"
PLACES, OUTLINES = ROOT / "events/places/sources.txt", ROOT / "data/derive_outlines.py"
SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"
NAMESPACE = uuid.UUID("6f7b2a52-1c5c-5f0e-9d0b-6272616e6368")
OURS = "branchline"
WITH_ANY_PYTHON = {OURS, "pip", "setuptools", "wheel"}
LONGEST_NAME = 60  # of a licence; what is longer is its text
INSTALLED = """
import importlib.metadata, json
print(json.dumps({each.metadata["Name"]: each.version for each in importlib.metadata.distributions()}))
"""

Json = dict[str, Any]


class Pin(NamedTuple):
    name: str
    version: str
    marker: str
    hashes: list[str]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="./dev sbom", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, nargs="?", metavar="FILE")
    parser.add_argument("--check", type=Path, metavar="PYTHON")
    options = parser.parse_args()
    if options.check:
        found = list(differences(options.check))
        print("\n".join(found) or "What is installed is what is pinned.")
        return 1 if found else 0
    text = json.dumps(bill(), indent=2, ensure_ascii=False) + "\n"
    if options.file:
        options.file.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
    return 0


def bill() -> Json:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    runs = [package(pin, "required", "runs") for pin in pins(RUN)]
    known = {each["bom-ref"] for each in runs}
    builds = [package(pin, "excluded", "builds the wheel") for pin in pins(BUILD)]
    places = [package(pin, "optional", "`places build` reads its data", "data") for pin in pins(PLACES)]
    others = [each for each in [*builds, *places, *outlines()] if each["bom-ref"] not in known]
    root = {
        "type": "application",
        "bom-ref": OURS,
        "name": OURS,
        "version": project["version"],
        "description": project["description"],
        "licenses": [{"expression": project["license"]}],
    }
    said = {
        "metadata": {"component": root},
        "components": sorted([*runs, *others], key=lambda each: str(each["bom-ref"])),
        "dependencies": [{"ref": OURS, "dependsOn": sorted(known)}],
    }
    number = uuid.uuid5(NAMESPACE, json.dumps(said, sort_keys=True))
    head = {
        "$schema": SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{number}",
    }
    return {**head, "version": 1, **said}


def pins(lock: Path) -> Iterator[Pin]:
    """A requirement and its hashes are one logical line."""
    for line in lock.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        if found := re.match(r"([A-Za-z0-9._-]+)==([^\s;]+)\s*(?:;\s*(.*?))?\s*(?=--hash)", line):
            hashes = re.findall(r"--hash=sha256:([0-9a-f]{64})", line)
            yield Pin(found[1].lower(), found[2], found[3] or "", hashes)


def package(pin: Pin, scope: str, does: str, kind: str = "library") -> Json:
    """One of Python's. Its hashes are those of all its archives: for each system and Python there is one."""
    purl = f"pkg:pypi/{pin.name}@{pin.version}"
    properties = {"branchline:use": does, **({"branchline:marker": pin.marker} if pin.marker else {})}
    found = {
        "type": kind,
        "bom-ref": purl,
        "name": pin.name,
        "version": pin.version,
        "scope": scope,
        "hashes": [{"alg": "SHA-256", "content": each} for each in sorted(pin.hashes)],
        "licenses": licences(pin),
        "purl": purl,
        "properties": [{"name": name, "value": value} for name, value in properties.items()],
    }
    return {name: value for name, value in found.items() if value}


def licences(pin: Pin) -> list[Json]:
    try:
        found = metadata.distribution(pin.name)
    except metadata.PackageNotFoundError:
        return []
    if found.version != pin.version:
        return []
    said = found.metadata
    for expression in said.get_all("License-Expression") or []:
        return [{"expression": expression}]
    classifiers = [each.split(" :: ") for each in said.get_all("Classifier") or []]
    names = sorted({each[-1] for each in classifiers if each[0] == "License" and each[-1] != "OSI Approved"})
    if not names:
        named = said.get_all("License") or []
        names = [each for each in named if len(each) <= LONGEST_NAME and "\n" not in each]
    return [{"license": {"name": name}} for name in names]


def outlines() -> Iterator[Json]:
    """Of npm's packages only data/outlines.json has come down to us; none of their code."""
    tree = ast.parse(OUTLINES.read_text(encoding="utf-8"))
    [pinned] = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PACKAGES"
    ]
    for which, integrity in pinned.items():
        name, _, version = which.rpartition("@")
        content = base64.b64decode(integrity.removeprefix("sha512-")).hex()
        yield {
            "type": "data",
            "bom-ref": f"pkg:npm/{name}@{version}",
            "name": name,
            "version": version,
            "scope": "excluded",
            "hashes": [{"alg": "SHA-512", "content": content}],
            "purl": f"pkg:npm/{name}@{version}",
            "properties": [
                {"name": "branchline:use", "value": "data/outlines.json is derived from its data"}
            ],
        }


def differences(python: Path) -> Iterator[str]:
    told = subprocess.run([python, "-I", "-c", INSTALLED], check=True, capture_output=True, text=True).stdout
    installed = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in json.loads(told).items()}
    pinned = {pin.name: pin for pin in pins(RUN)}
    for name, pin in sorted(pinned.items()):
        there = installed.get(name)
        if there is None and not pin.marker:
            yield f"{name} {pin.version} is missing"
        elif there not in (None, pin.version):
            yield f"{name} is {there}, not {pin.version}"
    for name in sorted(installed.keys() - pinned.keys() - WITH_ANY_PYTHON):
        yield f"{name} {installed[name]} is not pinned"


if __name__ == "__main__":
    sys.exit(main())
