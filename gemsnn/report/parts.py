"""What the page is made of: sections, figures with their words, and sentences where numbers are missing."""

from __future__ import annotations

from collections.abc import Sequence


def section(title: str, intro: str, body: str) -> str:
    """A part of the page."""
    anchor = "".join(letter if letter.isalnum() else "-" for letter in title.lower())
    intro = f'<p class="intro">{intro}</p>\n' if intro else ""
    return f'<section aria-labelledby="{anchor}">\n<h2 id="{anchor}">{title}</h2>\n{intro}{body}</section>\n'


def missing(sentence: str) -> str:
    """What stands where numbers are missing."""
    return f'<p class="missing">{sentence}</p>\n'


def plot(svg: str | Sequence[str]) -> str:
    """A picture, or several side by side, as many in a row as there is room for."""
    if isinstance(svg, str):
        return f'<div class="plot">{svg}</div>\n'
    each = "".join(f"<div>{one}</div>" for one in svg)
    return f'<div class="plot several">{each}</div>\n'


def figure(svg: str | Sequence[str], title: str, caption: str, kind: str = "") -> str:
    """A picture, or several, with its title and its words; ``kind`` is a class of the style sheet."""
    return (
        f'<figure class="{kind}">\n<h3>{title}</h3>\n<div class="body">{plot(svg)}'
        f"<figcaption>{caption}</figcaption></div>\n</figure>\n"
    )
