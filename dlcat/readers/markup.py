"""Text out of files that look like XML, without a parser that would follow what they define."""

from __future__ import annotations

import re

_ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_REFERENCE = re.compile(r"&(?:#([0-9]{1,7})|#x([0-9A-Fa-f]{1,6})|(amp|lt|gt|quot|apos));")
_SURROGATES = range(0xD800, 0xE000)


def opening(text: str, tag: str, attribute: str) -> tuple[str, int] | None:
    """An attribute in the first tag of that name, and where the tag ends; the text is gone through once.

    >>> opening('<p><seg id="7">Ja.</seg>', "seg", "id")
    ('7', 15)
    """
    start = text.find(f"<{tag} ")
    end = text.find(">", start)
    if start < 0 or end < 0:
        return None
    _, named, rest = text[start:end].partition(f'{attribute}="')
    value, closed, _ = rest.partition('"')
    return (value, end + 1) if named and closed else None


def unescaped(text: str) -> str:
    """Text with the five entities of XML and numbered characters in place; every other one is text.

    >>> unescaped("Q&amp;A &#233; &lolz; &amp;nbsp;")
    'Q&A é &lolz; &nbsp;'
    """
    return _REFERENCE.sub(_character, text) if "&" in text else text


def _character(match: re.Match[str]) -> str:
    if match[3]:
        return _ENTITIES[match[3]]
    number = int(match[1]) if match[1] else int(match[2], 16)
    return chr(number) if 0 < number < 0x110000 and number not in _SURROGATES else match[0]
