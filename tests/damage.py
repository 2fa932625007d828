"""What goes wrong with files: bytes that change, and ends that are missing; and what a reader may make of it."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import strategies as st

from dlcat.errors import DlcatError
from dlcat.readers import Bad, Example

LARGEST_MESSAGE = 2_000


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """The content with a few bytes changed, some put in, and perhaps its end cut off."""
    bytes_now = bytearray(content)
    for _ in range(draw(st.integers(0, 4))):
        position = draw(st.integers(0, max(0, len(bytes_now) - 1)))
        bytes_now[position : position + draw(st.integers(0, 3))] = draw(st.binary(max_size=4))
    return bytes(bytes_now[: draw(st.integers(len(bytes_now) // 2, len(bytes_now)))])


def require_read_or_refused(examples: Iterable[object]) -> list[Example]:
    """Read on to the end: examples, what is bad, and at most one error that says so in words.

    Returns: the examples.
    """
    found = []
    try:
        for each in examples:
            assert isinstance(each, Example | Bad)
            if isinstance(each, Bad):
                assert each.place
                assert len(str(each)) < LARGEST_MESSAGE
            else:
                found.append(each)
    except DlcatError:
        pass
    return found
