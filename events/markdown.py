"""What organizers write: Markdown without HTML, then an allow-list; and as plain text for calendars."""

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import nh3
from markupsafe import Markup

from .later import loaded_later

if TYPE_CHECKING:
    import markdown_it
    from markdown_it.token import Token
else:
    markdown_it = loaded_later("markdown_it")

_TAGS = {
    "p",
    "br",
    "em",
    "strong",
    "s",
    "ul",
    "ol",
    "li",
    "a",
    "blockquote",
    "code",
    "pre",
    "hr",
    "h2",
    "h3",
    "h4",
}

# In a text with more of them none begins a link: for each the rest is looked through, and 19,000 took 0.4 s.
MOST_BRACKETS = 1000


@lru_cache(maxsize=2048)
def html(text: str) -> Markup:
    """Safe HTML; headings begin at h2, since a page has its own h1."""
    tokens = [_below_the_title(token) for token in _parsed(text)]
    rendered = _reader().renderer.render(tokens, _reader().options, {})
    clean = nh3.clean(
        rendered,
        tags=_TAGS,
        attributes={"a": {"href"}},
        url_schemes={"http", "https", "mailto", "tel"},
        link_rel="nofollow noopener",
    )
    return Markup(clean)  # noqa: S704  (cleaned on the line above)


@lru_cache(maxsize=2048)
def plain(text: str) -> str:
    """The text as it reads without marks: links as "words (address)", lists with hyphens."""
    out: list[str] = []
    for token in _parsed(text):
        if token.type == "inline":
            out.append(_inline(token.children or []))
        elif token.type in ("fence", "code_block"):
            out.append(token.content)
        elif token.type == "list_item_open":
            out.append("- ")
        if token.type in ("paragraph_close", "heading_close", "fence", "code_block"):
            out.append("\n" if token.hidden or token.level > 0 else "\n\n")
        elif token.type in ("bullet_list_close", "ordered_list_close") and token.level == 0:
            out.append("\n")
    return re.sub(r"\n{3,}", "\n\n", "".join(out)).strip()


@lru_cache(maxsize=1)
def _parsed(text: str) -> "Sequence[Token]":
    """Most of what either takes; who needs both asks for them one after the other. The tokens are for reading."""
    reader = _reader() if text.count("[") <= MOST_BRACKETS else _reader(links=False)
    return reader.parse(text)


def _below_the_title(token: "Token") -> "Token":
    if token.type not in ("heading_open", "heading_close"):
        return token
    return token.copy(tag=f"h{min(int(token.tag[1]) + 1, 4)}")


@cache
def _reader(*, links: bool = True) -> "markdown_it.MarkdownIt":
    options = {"html": False, "linkify": False, "breaks": True}
    reader = markdown_it.MarkdownIt("commonmark", options).enable("strikethrough")
    return reader if links else reader.disable(["link", "image", "reference"])


def _inline(tokens: "list[Token]") -> str:
    out: list[str] = []
    hrefs: list[tuple[str, int]] = []
    for token in tokens:
        match token.type:
            case "text" | "code_inline":
                out.append(token.content)
            case "softbreak" | "hardbreak":
                out.append("\n")
            case "link_open":
                hrefs.append((str(token.attrGet("href") or ""), len(out)))
            case "link_close":
                href, since = hrefs.pop()
                if href and href != "".join(out[since:]):
                    out.append(f" ({href})")
    return "".join(out)
