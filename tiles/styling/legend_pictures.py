"""A legend as a picture (SVG), with its symbols and its words in both languages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from layers.model import Title
from tiles.styling.legends import Entry
from tiles.styling.markup import writable
from tiles.styling.sprites import symbols

MEDIA_TYPE = "image/svg+xml"
_FONTS = "'Noto Sans CJK SC', 'Noto Sans SC', 'PingFang SC', 'Microsoft YaHei', sans-serif"
_ROW, _LEFT, _TEXT = 24, 12, 54
# Characters of a line: a list of a hundred codes would make the picture as wide.
_LONGEST = 120
_WIDE, _NARROW = 13.0, 7.2


def draw_legend(title: Title, entries: Sequence[Entry]) -> bytes:
    """Return a legend as an SVG document.

    Nothing in it needs another file, or a style sheet: it can stand in any page.
    """
    head = _words(title)
    lines = [head, *(_words(entry.title) for entry in entries)]
    width = _TEXT + max(map(_length, lines)) + _LEFT
    height = _ROW * (len(entries) + 1) + 2 * _LEFT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" '
        f'viewBox="0 0 {width:.0f} {height}" font-family="{escape(_FONTS)}" font-size="13">',
        f"<title>{escape(head)}</title>",
        f'<rect width="{width:.0f}" height="{height}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="{_LEFT + 15}" font-weight="bold" fill="#1b232b">'
        f"{escape(head)}</text>",
    ]
    for number, entry in enumerate(entries, 1):
        middle = _LEFT + _ROW * number + _ROW // 2
        parts += _symbol(entry, middle)
        text = escape(_words(entry.title))
        parts.append(f'<text x="{_TEXT}" y="{middle + 5}" fill="#1b232b">{text}</text>')
    parts.append("</svg>")
    return "".join(parts).encode()


def _words(title: Title) -> str:
    words = writable(title.zh if title.zh == title.en else f"{title.zh} {title.en}")
    return words if len(words) <= _LONGEST else f"{words[: _LONGEST - 1]}…"


def _length(text: str) -> float:
    """About how wide a text is: Chinese characters are as wide as they are high."""
    return sum(_WIDE if ord(letter) > 0x2E7F else _NARROW for letter in text)


def _symbol(entry: Entry, middle: int) -> Iterator[str]:
    colour, opacity = entry.colour, f"{entry.opacity:g}"
    if entry.symbol == "icon":
        yield from _icon(entry.icon or "", middle)
    elif entry.symbol == "line":
        width = min(max(entry.width, 1.0), 8.0)
        yield (
            f'<line x1="{_LEFT}" y1="{middle}" x2="{_TEXT - 10}" y2="{middle}" '
            f'stroke="{colour}" stroke-opacity="{opacity}" stroke-width="{width:g}" '
            'stroke-linecap="round"/>'
        )
    elif entry.symbol == "circle":
        radius = min(max(entry.width, 3.0), 9.0)
        yield (
            f'<circle cx="{(_LEFT + _TEXT - 10) / 2:g}" cy="{middle}" r="{radius:g}" '
            f'fill="{colour}" fill-opacity="{opacity}" stroke="#5b6670" stroke-width="0.6"/>'
        )
    else:
        yield (
            f'<rect x="{_LEFT}" y="{middle - 8}" width="{_TEXT - 10 - _LEFT}" height="16" '
            f'fill="{colour}" fill-opacity="{opacity}" stroke="#5b6670" stroke-width="0.6"/>'
        )


def _icon(name: str, middle: int) -> Iterator[str]:
    """A symbol of ours, as large as it is in its sheet; nothing where there is none."""
    left, top = (_LEFT + _TEXT - 10) / 2 - 10, middle - 10
    yield f'<g transform="translate({left:g} {top}) scale({20 / 24:.4f})">'
    for kind, colour, *at in symbols().get(name, ()):
        if kind == "polygon":
            points = " ".join(f"{n:g}" for n in at)
            yield f'<polygon points="{points}" fill="{colour}"/>'
        elif kind == "box":
            size = f'width="{at[2] - at[0]:g}" height="{at[3] - at[1]:g}"'
            yield f'<rect x="{at[0]:g}" y="{at[1]:g}" {size} fill="{colour}"/>'
        elif kind == "line":
            ends = f'x1="{at[0]:g}" y1="{at[1]:g}" x2="{at[2]:g}" y2="{at[3]:g}"'
            yield f'<line {ends} stroke="{colour}" stroke-width="{at[4]:g}"/>'
        elif kind == "ring":
            yield (
                f'<circle cx="{at[0]:g}" cy="{at[1]:g}" r="{at[2] - at[3] / 2:g}" fill="none" '
                f'stroke="{colour}" stroke-width="{at[3]:g}"/>'
            )
        else:
            yield f'<circle cx="{at[0]:g}" cy="{at[1]:g}" r="{at[2]:g}" fill="{colour}"/>'
    yield "</g>"
