"""One request of the fault server and its answer under way: what happened, and what stands still."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threading import Condition

    from dlcat.testing.content import Content
    from dlcat.testing.records import Answer, Request


class Exchange:
    """A request and its answer under way, told of by the connection's thread.

    Args:
        request: as it came.
        changed: notified when the answer stands still, goes on, or has ended; its lock guards everything here.
    """

    def __init__(self, request: Request, changed: Condition) -> None:
        self.request = request
        self.is_stalled = False
        self.has_ended = False
        self._changed = changed
        self._answer: Answer | None = None

    def name(self, fault: str) -> None:
        """Note the fault that was chosen."""
        with self._changed:
            self.request = replace(self.request, fault=fault)

    def begin(self, answer: Answer, *, with_body: bool) -> None:
        """Note the answer that is about to be sent."""
        with self._changed:
            self._answer = answer
            planned = answer.body.size_bytes if with_body else 0
            self.request = replace(self.request, status=answer.status, body_bytes=planned)

    def sent(self, count_bytes: int) -> None:
        """Count more bytes of the body."""
        with self._changed:
            self.request = replace(self.request, sent_bytes=self.request.sent_bytes + count_bytes)

    def stalled(self, yes: bool) -> None:
        """Note that the answer stands still, or goes on."""
        with self._changed:
            self.is_stalled = yes
            self._changed.notify_all()

    def end(self) -> None:
        """Note that nothing more will be sent."""
        with self._changed:
            self.has_ended = True
            self._answer = None
            self._changed.notify_all()

    def overwrite(self, path: str, content: Content) -> None:
        """Go on in the new content, if it is this path's answer that is under way."""
        if self.request.path == path and self._answer is not None:
            old = self._answer.body.content.latest()
            if old is not content:
                old.overwritten_by = content
