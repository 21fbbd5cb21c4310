"""The house rules that a machine can keep: floors, files, locks, the wheel, the catalogue."""

import ast
import json
import os
import re
import runpy
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po
from jinja2 import Environment, meta, nodes

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))

# Imports go downward only. Rooms on one floor do not know each other, but for the cellar's.
CELLAR = 0
FLOORS = {
    **dict.fromkeys(
        (
            *("config", "db", "drafts", "errors", "fetching", "identity", "interpreter", "language", "later"),
            *("letters", "limits", "mail", "markdown", "outages", "palette", "pictures"),
            *("postgresql", "sandbox", "signed"),
            *("logs", "metrics", "presence", "turns"),
        ),
        CELLAR,
    ),
    "places": 1,
    "branches": 2,
    "people": 3,
    "calendars": 4,
    "messages": 4,
    "desk": 5,
    "news": 5,
    "subscriptions": 6,
    "personal": 7,
    "watch": 7,
    "migrations": 7,
    "web": 8,
    "worker": 8,
    "app": 9,
    "backups": 9,
    "connections": 10,
    "server": 10,
    "doctor": 10,
    "terminal": 11,
    "commands": 12,
    "upkeep": 12,
    "__main__": 13,
}


def git_files(*below: str) -> list[Path]:
    """Everything tracked, and what would be if it were added now; relative to the root."""
    command = [
        "git",
        "-c",
        "safe.directory=*",
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]
    listed = subprocess.run([*command, "--", *below], cwd=ROOT, check=True, capture_output=True, text=True)
    return sorted({Path(name) for name in listed.stdout.split("\0") if name and (ROOT / name).exists()})


def text_files() -> Iterator[tuple[Path, str]]:
    for path in git_files():
        content = (ROOT / path).read_bytes()
        if b"\0" not in content:
            yield path, content.decode("utf-8", errors="replace")


def places_of(pattern: str, *suffixes: str) -> list[str]:
    """Each line that the pattern is found in, as `file:number: what was found`."""
    return [
        f"{path}:{number}: {found[0]}"
        for path, text in text_files()
        if not suffixes or path.suffix in suffixes
        for number, line in enumerate(text.splitlines(), 1)
        if (found := re.search(pattern, line))
    ]


@cache
def modules() -> dict[Path, ast.Module]:
    return {path: ast.parse((ROOT / path).read_text()) for path in git_files("events/*.py")}


def room(path: Path) -> str:
    """The package or module directly below `events` that a file belongs to (empty for `events` itself)."""
    return path.parts[1].removesuffix(".py").replace("__init__", "")


def below(floor: int) -> dict[Path, ast.Module]:
    return {path: tree for path, tree in modules().items() if FLOORS.get(room(path), CELLAR) < floor}


def imported(path: Path, tree: ast.Module) -> Iterator[str]:
    """Full dotted names: `from ..places import geo` in events/branches/ gives events.places.geo."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = list(path.parent.parts)
            base = [*package[: len(package) + 1 - node.level], node.module] if node.level else [node.module]
            yield from (".".join([*filter(None, base), alias.name]) for alias in node.names)


def rooms_imported(path: Path, tree: ast.Module) -> set[str]:
    names = (name.split(".") for name in imported(path, tree))
    return {parts[1] for parts in names if parts[0] == "events" and len(parts) > 1}


def calls(tree: ast.Module) -> Iterator[str]:
    return (ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


# --- Floors


def test_every_room_has_a_floor() -> None:
    assert {room(path) for path in modules()} - {""} <= FLOORS.keys()


def test_imports_go_downward_only() -> None:
    upward = [
        f"{path} imports events.{target}"
        for path, tree in modules().items()
        for target in rooms_imported(path, tree) & FLOORS.keys()
        if target != room(path)
        and FLOORS[target] >= FLOORS.get(room(path), CELLAR)
        and not FLOORS[target] == FLOORS.get(room(path), CELLAR) == CELLAR
    ]
    assert upward == []


def test_no_import_hides_inside_a_function() -> None:
    hidden = [
        f"{path}:{node.lineno}"
        for path, tree in modules().items()
        for function in functions(tree)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert hidden == []


def test_only_the_web_knows_http() -> None:
    knowing = [
        str(path)
        for path, tree in below(FLOORS["web"]).items()
        if any(name.split(".")[0] == "starlette" for name in imported(path, tree))
    ]
    assert knowing == []


def test_below_the_web_now_is_a_parameter() -> None:
    asking = [
        f"{path}: {call}"
        for path, tree in below(FLOORS["web"]).items()
        for call in calls(tree)
        if re.search(r"\b(datetime\.(now|utcnow|today)|date\.today|time\.time)$", call)
    ]
    assert asking == []


def test_only_the_configuration_and_the_roof_read_the_environment() -> None:
    reading = [
        str(path)
        for path, tree in modules().items()
        if room(path) not in ("config", "server", "__main__")
        and {"os.environ", "os.getenv"} & {name for name in imported(path, tree)}
        | {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        & {"os.environ", "os.getenv"}
    ]
    assert reading == []


def test_no_model_touches_the_session_and_no_view_builds_a_select() -> None:
    touching = [
        f"{path}: {function.name}"
        for path, tree in modules().items()
        if path.name == "models.py"
        for function in functions(tree)
        if "session" in {argument.arg for argument in function.args.args}
    ]
    selecting = [
        str(path)
        for path, tree in modules().items()
        if room(path) == "web" and {"sqlmodel.select", "sqlalchemy.select"} & set(imported(path, tree))
    ]
    assert touching + selecting == []


def test_no_layout_hides_a_word_that_its_pages_are_given() -> None:
    """What a layout imports or sets at its top stands before a view's variable of the same name."""
    jinja = Environment(extensions=["jinja2.ext.i18n"], autoescape=True)
    trees = {path: jinja.parse((ROOT / path).read_text()) for path in git_files("templates/*.html")}
    owned: dict[str, set[str]] = {}
    for path, tree in trees.items():
        jinja.filters.update(dict.fromkeys((node.name for node in tree.find_all(nodes.Filter)), str))
        imports = [node for node in tree.body if isinstance(node, nodes.Import | nodes.FromImport)]
        owned[str(path.relative_to("templates"))] = {
            name if isinstance(name, str) else name[-1]
            for node in imports
            for name in (node.names if isinstance(node, nodes.FromImport) else [node.target])
        }
    hidden = [
        f"{path}: {name}"
        for path, tree in trees.items()
        for layout in tree.find_all(nodes.Extends)
        if isinstance(layout.template, nodes.Const)
        for name in owned[layout.template.value]
        & meta.find_undeclared_variables(tree) - owned[str(path.relative_to("templates"))]
    ]
    assert (len(trees) > 50, hidden) == (True, [])


def test_modules_and_functions_stay_readable() -> None:
    long_modules = [str(path) for path in modules() if len((ROOT / path).read_text().splitlines()) > 400]
    long_functions = [
        f"{path}: {function.name}"
        for path, tree in modules().items()
        if "versions" not in path.parts  # a migration lists whole tables
        for function in functions(tree)
        if (function.end_lineno or 0) - function.lineno > 60
    ]
    assert long_modules + long_functions == []


# --- Files


def test_no_file_names_a_registry_or_a_path_of_one_machine() -> None:
    registries = r"pypi[.]org|pythonhosted[.]org|registry[.]npmjs|deb[.]debian[.]org"
    machines = r"(?<![\w.])/(work|farm|home|root|Users)/"
    assert places_of(registries) == []
    assert places_of(machines) == []


def test_nothing_is_skipped_ignored_or_left_undone() -> None:
    skipped = r"pytest[.](mark[.])?(skip|xfail)|import[o]rskip|# type[:] ignore"
    undone = r"\b(TO[D]O|FIX[M]E|NotImplemented[E]rror)\b"
    assert places_of(f"{skipped}|{undone}", ".py", "") == []


def test_nothing_is_caught_whatever_it_is_and_forgotten() -> None:
    swallowing = [
        f"{path}:{node.lineno}"
        for path, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in ("Exception", "BaseException"))
        and not any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
    ]
    assert swallowing == []


def test_no_compiled_catalogue_is_kept() -> None:
    assert [path for path in git_files() if path.suffix == ".mo"] == []


def test_the_changelog_speaks_of_this_version() -> None:
    assert re.search(
        rf"^## .*\b{re.escape(PYPROJECT['project']['version'])}\b",
        (ROOT / "CHANGELOG.md").read_text(),
        re.MULTILINE,
    )


def test_the_workbench_needs_only_the_standard_library() -> None:
    tree = ast.parse((ROOT / "dev").read_text())
    assert {name.split(".")[0] for name in imported(Path("dev"), tree)} <= sys.stdlib_module_names
    assert os.access(ROOT / "dev", os.X_OK)
    assert os.access(ROOT / ".ci/run", os.X_OK)


@pytest.mark.parametrize(
    ("system", "taken"),
    [
        (("3.11", 0.010), True),
        (("3.11", 0.017), True),  # as a machine that is shared shows it now and then
        (("3.11", 0.019), False),  # hardly quicker
        (("3.12", 0.010), False),
        (("", float("inf")), False),  # it cannot make .venv
    ],
)
def test_the_systems_python_is_taken_where_it_is_the_same_and_quicker(
    system: tuple[str, float], taken: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One that pyenv built takes up to twice as long for all that is computed."""
    python = tmp_path / "python3"
    python.touch()
    dev = runpy.run_path(str(ROOT / "dev"), run_name="dev")
    monkeypatch.setattr("shutil.which", lambda name, path=None: str(python))
    monkeypatch.setitem(
        dev["quicker_python"].__globals__,
        "probe",
        lambda of: system if of == str(python) else ("3.11", 0.020),
    )
    assert dev["quicker_python"]() == (str(python) if taken else sys.executable)


def test_a_python_is_asked_which_it_is_and_how_quick() -> None:
    dev = runpy.run_path(str(ROOT / "dev"), run_name="dev")
    version, seconds = dev["probe"](sys.executable)
    assert version == f"{sys.version_info.major}.{sys.version_info.minor}" and 0 < seconds < 1


# --- Locks


def pins(lock: Path) -> dict[str, str]:
    """Names and versions. A requirement and its hashes are one logical line."""
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", lock.read_text(), re.MULTILINE))


def test_locks_pin_and_hash_everything_and_name_no_host() -> None:
    assert [lock.stem for lock in LOCKS] == ["build", "dev", "face", "run"]
    for lock in LOCKS:
        logical = lock.read_text().replace("\\\n", " ").splitlines()
        requirements = [line for line in logical if not line.startswith("#")]
        pinned = re.compile(r"[a-z0-9-]+==[\w.]+ ( *; [^@/]+?)?( +--hash=sha256:[0-9a-f]{64})+ *")
        assert [line for line in requirements if not pinned.fullmatch(line)] == []
    packages = json.loads((ROOT / "bench/face/package-lock.json").read_text())["packages"]
    assert all("integrity" in each and "resolved" not in each for path, each in packages.items() if path)


def test_locks_agree_and_hold_all_that_is_declared() -> None:
    run, build, dev = (pins(ROOT / "requirements" / f"{name}.txt") for name in ("run", "build", "dev"))
    assert run.items() | build.items() <= dev.items()
    groups = PYPROJECT["dependency-groups"]
    for declared, lock in (
        (PYPROJECT["project"]["dependencies"], run),
        (groups["build"], build),
        (PYPROJECT["build-system"]["requires"], build),
        ([entry for entry in groups["dev"] if isinstance(entry, str)], dev),
    ):
        assert {re.split(r"[^\w-]", entry)[0] for entry in declared} <= lock.keys()


def test_no_package_called_events_is_in_the_tree() -> None:
    for lock in LOCKS:
        assert "events" not in pins(lock)


# --- The wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return set(zipfile.ZipFile(next(folder.glob("*.whl"))).namelist())


def test_the_wheel_holds_what_is_tracked_and_no_more(wheel: set[str]) -> None:
    def inside(path: Path) -> str:
        return str(path) if path.parts[0] == "events" else f"events/{path}"

    data = ("data/branches.csv", "data/events.ics", "data/news.json", "data/outlines.json")
    expected = {inside(path) for path in git_files("events", "templates", *data)}
    about = {name for name in wheel if name.startswith("branchline-")}
    assert wheel - about == expected


# --- The catalogue


def said(message: Message) -> bool:
    """Whether it is translated, in all its plural forms."""
    return all([message.string] if isinstance(message.string, str) else message.string or [""])


@pytest.fixture(scope="module")
def spanish() -> Catalog:
    with (ROOT / "events/locale/es.po").open("rb") as file:
        return read_po(file, abort_invalid=True)


def test_every_sentence_is_said_in_spanish(spanish: Catalog) -> None:
    unsaid = [message.id for message in spanish if message.id and (message.fuzzy or not said(message))]
    assert unsaid == []


def test_spanish_sentences_keep_the_named_values(spanish: Catalog) -> None:
    faults = [f"{message.id}: {error}" for message, errors in spanish.check() for error in errors]
    assert faults == []


@pytest.mark.parametrize(("kind", "most"), [("css", 30_000), ("js", 20_000)])
def test_what_every_visitor_loads_stays_small(kind: str, most: int) -> None:
    assert sum(path.stat().st_size for path in (ROOT / "events/static" / kind).iterdir()) <= most
