"""Whether what docs/trust.md promises holds under pressure: what takes too long for a test.

usage: ./dev bench trust [PART [--help | OPTIONS]]

Each PART is a file beside this one, bench/_trust_PART.py, which says what it does and what it takes. Without PART,
all of them one after the other, as they come. Exit status 1 when a promise is broken.
"""

import argparse
import importlib
import sys
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).parent
PREFIX = "_trust_"


def main() -> int:
    arguments = sys.argv[1:]
    names = [path.stem.removeprefix(PREFIX) for path in sorted(HERE.glob(f"{PREFIX}*.py"))]
    if not arguments:
        return max([kept(name, []) for name in names], default=0)
    if arguments[0] not in names:
        print(f"{__doc__}\nPARTs: {', '.join(names)}")
        return 0 if arguments[0] in {"-h", "--help"} else 2
    return kept(arguments[0], arguments[1:])


def kept(name: str, arguments: list[str]) -> int:
    """Runs one part: its `add_options(parser)`, and its `run(options)`, which says whether all was well."""
    part: ModuleType = importlib.import_module(f"bench.{PREFIX}{name}")
    parser = argparse.ArgumentParser(
        prog=f"./dev bench trust {name}",
        description=part.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    part.add_options(parser)
    options = parser.parse_args(arguments)
    print(f"\n{name}: {(part.__doc__ or '').splitlines()[0]}", flush=True)
    return 0 if part.run(options) else 1


if __name__ == "__main__":
    sys.exit(main())
