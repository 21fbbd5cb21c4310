"""Libraries that few requests need, loaded when something is asked of them for the first time.

Certificates, pictures, mail servers and strangers' feeds would take a good part of the time to the first answer, and
stay in the memory of processes that never see one. A module says `if TYPE_CHECKING: import x` and else
`x = loaded_later("x")`, so that types are checked as ever. The bargain: what an installation lacks is missed when it
is used, not at start. Of several threads that ask at once one loads, and the others wait for it.
"""

import contextlib
import gc
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

_YOUNG = 1  # a generation: what came since all was looked through


class _Later:
    """Stands for a module: what is asked of it, or set in it, is asked of the module, or set in it."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        object.__setattr__(self, "_name", name)

    def __getattr__(self, attribute: str) -> Any:
        return getattr(loaded(self._name), attribute)

    def __setattr__(self, attribute: str, value: object) -> None:
        setattr(loaded(self._name), attribute, value)


class _Functions:
    """Stands for a module of functions that are named long before anybody calls them.

    As in a module, whoever names a function twice has the same one.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Callable[..., Any]:
        vars(self)[attribute] = function = _Function(self._name, attribute)
        return function


class _Function:
    __slots__ = ("_attribute", "_name")

    def __init__(self, name: str, attribute: str) -> None:
        self._name, self._attribute = name, attribute

    def __call__(self, *given: Any, **named: Any) -> Any:
        return self.found()(*given, **named)

    def found(self) -> Callable[..., Any]:
        function: Callable[..., Any] = getattr(loaded(self._name), self._attribute)
        return function


def loaded_later(name: str) -> Any:
    return _Later(name)


_of_functions: list[str] = []  # modules


def functions_later(package: str, names: str) -> dict[str, Any]:
    """Modules of a package, each loaded when one of its functions is called for the first time.

    The bargain: that there is such a function is said by mypy and by a test, not by the start.
    """
    found = {name: f"{package}.{name}" for name in names.split()}
    _of_functions.extend(found.values())
    return {name: _Functions(module) for name, module in found.items()}


def load_functions() -> None:
    """Now, by a process that others will be copied from: they find all loaded, and share the memory it takes."""
    for module in _of_functions:
        loaded(module)


def loaded(name: str) -> ModuleType:
    """The module, which is never looked through for garbage. What was garbage before is no part of that."""
    if name in sys.modules or not gc.isenabled():
        return import_module(name)  # or is being loaded, and for that it waits; or is part of what is
    gc.collect(_YOUNG)
    with without_collecting():
        return import_module(name)


@contextlib.contextmanager
def without_collecting() -> Iterator[None]:
    """For what loads much that stays: to look for garbage in it, time and again, takes a tenth of the time.

    Nor is it looked through afterwards: that would hold up all requests for as long as some dozens of answers take.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
