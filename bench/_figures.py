"""Figures with their targets, a line each, and what failed."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """How often it came as wanted, and what came otherwise."""

    name: str
    least: float | None  # per cent
    hits: int = 0
    of: int = 0
    misses: list[str] = field(default_factory=list)

    def count(self, good: bool, typed: str, wanted: str, came: str) -> None:
        self.of += 1
        self.hits += good
        if not good:
            self.misses.append(f"typed “{typed}”, wanted {wanted}; came: {came}")

    def report(self, failures: int) -> None:
        share = 100 * self.hits / max(self.of, 1)
        if self.least is None:
            print(f"{self.name}: {share:.1f} % of {self.of}")
        else:
            line(
                f"{self.name}: {share:.1f} % of {self.of}",
                f"at least {self.least:g} %",
                share >= self.least,
            )
        for miss in self.misses[:failures]:
            print(f"    {miss}")


def line(figure: str, target: str, good: bool) -> None:
    print(f"{figure} (target {target}): {'ok' if good else 'NOT'}")
