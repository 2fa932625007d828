"""Every way of going wrong that the fault server knows: a value, or a function that makes one from its numbers."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import replace
from datetime import timedelta
from email.utils import formatdate
from time import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from dlcat.testing import pages, protocol
from dlcat.testing.content import Content
from dlcat.testing.records import BEFORE_HEAD, Answer, Fault, Incident, Request, Resource, Slice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dlcat.testing.records import ChangeAnswer, ChangeResource

LOGIN_PATH = "login.html"
"""Where `login_redirect` leads; the server has a page there."""
BOUNDARY = "dlcat-boundary"

ok = Fault("ok", "No fault: what an honest server does.")


def _on_resource(change: ChangeResource) -> Fault:
    return Fault(change.__name__, change.__doc__ or "", resource=(change,))


def _on_answer(change: ChangeAnswer) -> Fault:
    return Fault(change.__name__, change.__doc__ or "", answer=(change,))


def _made(maker: Callable[..., Fault], numbers: tuple[object, ...], change: ChangeAnswer) -> Fault:
    said = ", ".join(map(repr, numbers))
    return Fault(f"{maker.__name__}({said})", maker.__doc__ or "", answer=(change,))


def _with_incident(answer: Answer, incident: Incident) -> Answer:
    return replace(answer, incidents=(*answer.incidents, incident))


# The connection


def drop_after(after_bytes: int) -> Fault:
    """The connection ends after that many bytes of the body."""
    incident = Incident(after_bytes, "drop")
    return _made(drop_after, (after_bytes,), lambda _, answer: _with_incident(answer, incident))


def reset_after(after_bytes: int) -> Fault:
    """The connection is reset (RST) after that many bytes of the body."""
    incident = Incident(after_bytes, "reset")
    return _made(reset_after, (after_bytes,), lambda _, answer: _with_incident(answer, incident))


def stall_after(after_bytes: int) -> Fault:
    """Nothing comes after that many bytes of the body, until `server.release()` or the client hangs up."""
    incident = Incident(after_bytes, "stall")
    return _made(stall_after, (after_bytes,), lambda _, answer: _with_incident(answer, incident))


def call_after(after_bytes: int, action: Callable[[], object]) -> Fault:
    """A function of the test is called after that many bytes of the body, say to replace the file or end a process."""
    incident = Incident(after_bytes, action)
    return _made(call_after, (after_bytes,), lambda _, answer: _with_incident(answer, incident))


@_on_answer
def hang_up(_: Request, answer: Answer) -> Answer:
    """The connection ends before a byte is answered."""
    return _with_incident(answer, Incident(BEFORE_HEAD, "drop"))


@_on_answer
def never_answer(_: Request, answer: Answer) -> Answer:
    """The request is read and not answered, until `server.release()` or the client hangs up."""
    return _with_incident(answer, Incident(BEFORE_HEAD, "stall"))


def rate(bytes_per_second: float) -> Fault:
    """The body comes at this pace: a slow drip, or the cap of one connection."""
    return _made(rate, (bytes_per_second,), lambda _, answer: replace(answer, bytes_per_second=float(bytes_per_second)))


def latency(seconds: float) -> Fault:
    """The answer begins so much later."""
    return _made(latency, (seconds,), lambda _, answer: replace(answer, latency_seconds=float(seconds)))


# The length


def length_off_by(extra_bytes: int) -> Fault:
    """Content-Length announces so many bytes more than are sent, or fewer where negative; then the connection ends."""
    return _made(length_off_by, (extra_bytes,), lambda _, answer: replace(answer, lie_bytes=extra_bytes))


@_on_answer
def close_delimited(_: Request, answer: Answer) -> Answer:
    """No Content-Length: the body ends where the connection ends."""
    return replace(answer, framing="close")


@_on_answer
def chunked(_: Request, answer: Answer) -> Answer:
    """No Content-Length: the body comes in chunks."""
    return replace(answer, framing="chunked")


# The bytes


def flip_byte(offset: int) -> Fault:
    """The byte at this place of the file is wrong, in whatever range it is sent; negative counts from the end."""

    def change(_: Request, answer: Answer) -> Answer:
        place = offset + answer.body.content.size_bytes if offset < 0 else offset
        return replace(answer, flips=(*answer.flips, place))

    return _made(flip_byte, (offset,), change)


@_on_answer
def gzip_encoding(_: Request, answer: Answer) -> Answer:
    """Content-Encoding: gzip whatever the client accepts, for the whole file, ranges ignored."""
    if answer.status not in (200, 206):
        return answer
    packed = Content(gzip.compress(answer.body.content.read(), compresslevel=1, mtime=0))
    headers = _without(answer.headers, "Content-Range", "Accept-Ranges") | {"Content-Encoding": "gzip"}
    return replace(answer, status=200, headers=headers, body=Slice(packed, 0, packed.size_bytes))


# Validators


@_on_resource
def changing_etag(request: Request, resource: Resource) -> Resource:
    """The ETag is another one for each request."""
    return replace(resource, etag=f'{resource.content.etag[:-1]}-{request.number}"')


@_on_resource
def weak_etag(_: Request, resource: Resource) -> Resource:
    """The ETag is weak, so that no If-Range can use it."""
    return replace(resource, etag=f"W/{resource.content.etag}")


@_on_resource
def no_etag(_: Request, resource: Resource) -> Resource:
    """No ETag, only Last-Modified."""
    return replace(resource, etag=None)


@_on_resource
def no_validators(_: Request, resource: Resource) -> Resource:
    """Neither ETag nor Last-Modified."""
    return replace(resource, etag=None, last_modified=None)


@_on_resource
def if_range_ignored(_: Request, resource: Resource) -> Resource:
    """A range is served though If-Range names another version: who appends it splices two files."""
    return replace(resource, heeds_if_range=False)


# Ranges


@_on_resource
def ranges_ignored(_: Request, resource: Resource) -> Resource:
    """Range is not understood: 200 and the whole file."""
    return replace(resource, serves_ranges=False)


def short_range(at_most_bytes: int) -> Fault:
    """206 with fewer bytes than were asked for, and a Content-Range that says so."""
    return _made(
        short_range,
        (at_most_bytes,),
        lambda _, answer: _other_range(
            answer, answer.body.start, min(answer.body.stop, answer.body.start + max(1, at_most_bytes))
        ),
    )


def shifted_range(by_bytes: int) -> Fault:
    """206 with the bytes so far behind (or before) those asked for, and a Content-Range that says so."""

    def change(_: Request, answer: Answer) -> Answer:
        last = answer.body.content.size_bytes - 1
        start = min(max(0, answer.body.start + by_bytes), last)
        return _other_range(answer, start, min(max(start, answer.body.stop - 1 + by_bytes), last) + 1)

    return _made(shifted_range, (by_bytes,), change)


def wrong_total(by_bytes: int) -> Fault:
    """206 whose Content-Range names a whole so much larger (or smaller) than the file."""

    def change(_: Request, answer: Answer) -> Answer:
        total = answer.body.content.size_bytes + by_bytes
        return _with_range(answer, protocol.content_range(answer.body.start, answer.body.stop, total))

    return _made(wrong_total, (by_bytes,), change)


@_on_answer
def no_content_range(_: Request, answer: Answer) -> Answer:
    """206 without Content-Range."""
    return replace(answer, headers=_without(answer.headers, "Content-Range")) if answer.status == 206 else answer


@_on_answer
def multipart_range(_: Request, answer: Answer) -> Answer:
    """206 as multipart/byteranges, though one range was asked for."""
    if answer.status != 206:
        return answer
    kind, place = answer.headers["Content-Type"], answer.headers.get("Content-Range", "")
    part = f"--{BOUNDARY}\r\nContent-Type: {kind}\r\nContent-Range: {place}\r\n\r\n".encode()
    found = answer.body.content.read(answer.body.start, answer.body.stop)
    wrapped = Content(part + found + f"\r\n--{BOUNDARY}--\r\n".encode())
    headers = _without(answer.headers, "Content-Range")
    headers["Content-Type"] = f"multipart/byteranges; boundary={BOUNDARY}"
    return replace(answer, headers=headers, body=Slice(wrapped, 0, wrapped.size_bytes))


@_on_answer
def unsatisfiable(request: Request, answer: Answer) -> Answer:
    """416 for every range."""
    return answer if request.range is None else protocol.unsatisfiable(answer.body.content)


# Other answers


def status(code: int, retry_after: int | timedelta | str | None = None) -> Fault:
    """This status, with Retry-After in seconds (a number), as a date (a timedelta from now), as it is (a text) or none."""
    return _made(
        status,
        (code,) if retry_after is None else (code, retry_after),
        lambda *_: protocol.said(
            code, headers={} if retry_after is None else {"Retry-After": _retry_after(retry_after)}
        ),
    )


def redirect(location: str, code: int = 302) -> Fault:
    """A redirect to a URL, or to another path of the same server ('/b.bin')."""
    return _made(redirect, (location, code), lambda *_: protocol.said(code, headers={"Location": location}))


@_on_answer
def redirect_loop(request: Request, _: Answer) -> Answer:
    """A redirect to itself."""
    return protocol.said(302, headers={"Location": request.target})


@_on_answer
def login_redirect(request: Request, _: Answer) -> Answer:
    """A redirect to a page where one signs in, which is answered with 200."""
    return protocol.said(302, headers={"Location": f"/{LOGIN_PATH}?next=/{quote(request.path)}"})


def body(content: bytes, content_type: str = "text/html", code: int = 200) -> Fault:
    """Other bytes in place of the file, by default as a web page with 200."""
    return _made(body, (content[:20],), lambda *_: protocol.said(code, content, content_type=content_type))


@_on_answer
def login_page(_request: Request, _answer: Answer) -> Answer:
    """200 and a page where one signs in."""
    return protocol.said(200, pages.LOGIN)


@_on_answer
def drive_quota_page(_request: Request, _answer: Answer) -> Answer:
    """200 and Google Drive's page for a file that too many people wanted."""
    return protocol.said(200, pages.DRIVE_QUOTA)


@_on_answer
def drive_virus_page(_request: Request, _answer: Answer) -> Answer:
    """200 and Google Drive's question before a file too large for its virus scan."""
    return protocol.said(200, pages.DRIVE_VIRUS)


@_on_answer
def captive_portal(_request: Request, _answer: Answer) -> Answer:
    """200 and the welcome page of a guest network."""
    return protocol.said(200, pages.CAPTIVE_PORTAL)


@_on_answer
def lfs_pointer(_: Request, answer: Answer) -> Answer:
    """200 and a Git LFS pointer to the file, of about 130 bytes."""
    content = answer.body.content
    pointer = pages.lfs_pointer(hashlib.sha256(content.read()).hexdigest(), content.size_bytes)
    return protocol.said(200, pointer, content_type="text/plain; charset=utf-8")


FAULTS: Mapping[str, Fault | Callable[..., Fault]] = {
    (each.name if isinstance(each, Fault) else each.__name__): each
    for each in (
        ok,
        drop_after,
        reset_after,
        stall_after,
        call_after,
        hang_up,
        never_answer,
        rate,
        latency,
        length_off_by,
        close_delimited,
        chunked,
        flip_byte,
        gzip_encoding,
        changing_etag,
        weak_etag,
        no_etag,
        no_validators,
        if_range_ignored,
        ranges_ignored,
        short_range,
        shifted_range,
        wrong_total,
        no_content_range,
        multipart_range,
        unsatisfiable,
        status,
        redirect,
        redirect_loop,
        login_redirect,
        body,
        login_page,
        drive_quota_page,
        drive_virus_page,
        captive_portal,
        lfs_pointer,
    )
}
"""Every fault by its name, in the order of the documentation."""


def explain(name: str) -> str:
    """The one line on a fault."""
    found = FAULTS[name]
    return found.says if isinstance(found, Fault) else found.__doc__ or ""


def _without(headers: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in names}


def _with_range(answer: Answer, place: str) -> Answer:
    return replace(answer, headers={**answer.headers, "Content-Range": place}) if answer.status == 206 else answer


def _other_range(answer: Answer, start: int, stop: int) -> Answer:
    if answer.status != 206:
        return answer
    content = answer.body.content
    moved = replace(answer, body=Slice(content, start, stop))
    return _with_range(moved, protocol.content_range(start, stop, content.size_bytes))


def _retry_after(when: int | timedelta | str) -> str:
    if isinstance(when, timedelta):
        return formatdate(time() + when.total_seconds(), usegmt=True)
    return str(when)
