"""What an answer means for the bytes that are here, by table and by chance."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcat.fetch.wire.answer import BRIEF, FINAL, PASSING, Asked, ChangedError, SourceError, read_answer, strong, weigh

TAG = '"v1"'


def answer(status, content_range=None, length=None, etag=None):
    headers = {"Content-Range": content_range, "Content-Length": length, "ETag": etag}
    return read_answer(status, "", {name: value for name, value in headers.items() if value is not None})


REST = Asked(300, 1000, TAG, 1000)
LONG = Asked(300, 100_000, TAG, 100_000)


@pytest.mark.parametrize(
    ("asked", "given_", "meaning"),
    [
        (Asked(), answer(200, length="1000"), "append"),
        (Asked(), answer(200), "append"),
        (REST, answer(200, length="1000"), "restart"),
        (REST, answer(206, "bytes 300-999/1000", etag=TAG), "append"),
        (REST, answer(206, "bytes 300-999/1000"), ChangedError),
        (REST, answer(206, "bytes 300-500/1000", etag=TAG), PASSING),
        (LONG, answer(206, "bytes 300-500/100000", etag=TAG), PASSING),
        (LONG, answer(206, "bytes 300-16682/100000", etag=TAG), PASSING),
        (LONG, answer(206, "bytes 300-16683/100000", etag=TAG), "append"),
        (Asked(300), answer(206, "bytes 300-500/1000"), PASSING),
        (Asked(300), answer(206, "bytes 300-500/*"), "append"),
        (Asked(300, 2000), answer(206, "bytes 300-500/501"), "append"),
        (REST, answer(206, "bytes 300-999/*", etag=TAG), "append"),
        (Asked(300), answer(206, "bytes 300-999/1000"), "append"),
        (REST, answer(206, "bytes 300-999/1001"), ChangedError),
        (REST, answer(206, "bytes 300-999/1000", etag='"v2"'), ChangedError),
        (REST, answer(416), ChangedError),
        (REST, answer(206), FINAL),
        (REST, answer(206, "bytes 299-999/1000", etag=TAG), FINAL),
        (REST, answer(206, "bytes 301-999/1000", etag=TAG), FINAL),
        (REST, answer(206, "bytes 300-1000/*", etag=TAG), FINAL),
        (REST, answer(206, "bytes 300-299/1000", etag=TAG), FINAL),
        (REST, answer(206, "bytes 300-999/1000, bytes 0-1/1000"), FINAL),
        (Asked(), answer(206, "bytes 0-999/1000"), FINAL),
        (Asked(), answer(204), FINAL),
        (Asked(), answer(404), FINAL),
        (Asked(), answer(429), PASSING),
        (Asked(), answer(500), PASSING),
        (Asked(), answer(501), FINAL),
    ],
)
def test_an_answer_is_appended_or_begins_anew_or_is_refused(asked, given_, meaning):
    if isinstance(meaning, str):
        assert weigh(asked, given_) == meaning
        return
    with pytest.raises(SourceError) as caught:
        weigh(asked, given_)
    if meaning is ChangedError:
        assert isinstance(caught.value, ChangedError)
    else:
        assert caught.value.patience == meaning


numbers = st.integers(0, 50)


@given(start=numbers, end=st.integers(1, 50), first=numbers, last=numbers, total=numbers)
def test_what_is_appended_lies_where_it_was_asked_for(start, end, first, last, total):
    asked = Asked(start, max(end, start + 1), None, 51)
    given_ = answer(206, f"bytes {first}-{last}/{total}")
    try:
        verdict = weigh(asked, given_)
    except SourceError:
        return
    assert verdict == "append"
    assert first == asked.start <= last < asked.end
    assert total == asked.total_bytes


@given(st.text(max_size=40), st.text(max_size=20), st.text(max_size=20), st.sampled_from([200, 206, 416, 500]))
def test_no_header_makes_it_stumble(content_range, length, etag, status):
    found = answer(status, content_range, length, etag)
    with suppress(SourceError):
        assert weigh(REST, found) in ("append", "restart")


@pytest.mark.parametrize(
    ("etag", "found"), [(None, None), ('"a"', '"a"'), ('W/"a"', None), ("a", None), ('""', None), ('"', None)]
)
def test_only_a_strong_tag_vouches(etag, found):
    assert strong(etag) == found


def test_a_range_is_asked_for_only_of_the_version_that_is_here():
    assert Asked().headers() == {}
    assert REST.headers() == {"Range": "bytes=300-999", "If-Range": TAG}
    assert Asked(5).headers() == {"Range": "bytes=5-"}
    assert FINAL < BRIEF < PASSING
