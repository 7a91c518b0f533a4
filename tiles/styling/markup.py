"""Texts in XML documents: what no such document can hold is left out of them."""

from __future__ import annotations

import re

# Controls, halves of characters, and what is none (XML 1.0, 2.2).
_NONE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def writable(text: str, instead: str = "") -> str:
    r"""Return a text with something else for the characters that XML has no way to write.

    >>> writable("a\x01b")
    'ab'
    """
    return _NONE.sub(instead, text)
