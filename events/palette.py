"""The operator's two colours, and what is derived from them so that words stay readable (WCAG 2.2, 1.4.3).

Everything else about how pages look is written in `static/css/`; these few custom properties are written here,
because browsers do not compute contrast.
"""

import re
from dataclasses import dataclass

BRAND, ACCENT = "#0b5d4b", "#ffb81c"
READABLE = 4.5  # the least contrast of words of ordinary size
IN_THE_DARK = 8.0  # where thin light words on black need more
# What words in the colour of the brand stand on: `--paper` and `--surface`, by day and in the dark.
LIGHT_GROUNDS, DARK_GROUNDS = ("#ffffff", "#f1f5f3"), ("#101614", "#19211e")
BLACK, WHITE = "#000000", "#ffffff"
STEP = 0.05

Rgb = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours as `#rrggbb`: `brand` fills bands and buttons, `accent` marks the one thing to see first."""

    brand: str = BRAND
    accent: str = ACCENT

    def properties(self) -> str:
        """As CSS declarations, but for `--brand-ink`, which depends on what is behind it."""
        return (
            f"--brand-fill:{self.brand};--on-brand:{self.on_brand};"
            f"--accent:{self.accent};--on-accent:{_words_on(self.accent)}"
        )

    @property
    def on_brand(self) -> str:
        return _words_on(self.brand)

    @property
    def ink(self) -> str:
        """The brand as words on a light ground: as it is where it can be read, else as dark as needed."""
        return _toward(BLACK, self.brand, LIGHT_GROUNDS, READABLE)

    @property
    def ink_in_the_dark(self) -> str:
        return _toward(WHITE, self.brand, DARK_GROUNDS, IN_THE_DARK)


def colour(text: str) -> str:
    """`#abc` or `#aabbcc`, with or without the sign, as `#aabbcc`. Raises ValueError."""
    digits = text.strip().removeprefix("#").lower()
    if not re.fullmatch(r"[0-9a-f]{3}|[0-9a-f]{6}", digits):
        raise ValueError(text)
    return "#" + (digits if len(digits) == 6 else "".join(2 * digit for digit in digits))


def contrast(one: str, other: str) -> float:
    """From 1 to 21, as WCAG 2.2 defines it."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _words_on(ground: str) -> str:
    return max((WHITE, BLACK), key=lambda words: contrast(words, ground))


def _toward(end: str, start: str, grounds: tuple[str, ...], least: float) -> str:
    share, found = 0.0, start
    while min(contrast(found, ground) for ground in grounds) < least:
        share += STEP
        found = _mixed(start, end, min(share, 1))
    return found


def _mixed(one: str, other: str, share: float) -> str:
    """`share` of the other colour."""
    mixed = (a + (b - a) * share for a, b in zip(_rgb(one), _rgb(other), strict=True))
    return "#" + "".join(f"{round(channel * 255):02x}" for channel in mixed)


def _luminance(text: str) -> float:
    linear = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in _rgb(text))
    return sum(weight * channel for weight, channel in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _rgb(text: str) -> Rgb:
    red, green, blue = (int(text[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue
