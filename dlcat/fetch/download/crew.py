"""The connections that bring one file from one source together.

A lane is a connection in a thread of its own that fills one gap. The first lane shows what the source is; when what is
left would take it long, other lanes take over half of the largest remainder each, again and again, so that all end at
about the same time. All but one give way to a file that has no connection yet.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from threading import Condition, RLock, Thread
from time import monotonic
from typing import TYPE_CHECKING

from dlcat.fetch.download.partial import Origin
from dlcat.fetch.download.writer import CLAIM_BYTES, Writer
from dlcat.fetch.wire.answer import Asked, ChangedError, SourceError, WrongBytesError, weigh
from dlcat.fetch.wire.credentials import redact
from dlcat.fetch.wire.sniff import EVIDENCE_BYTES, diagnose
from dlcat.fetch.wire.transport import opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dlcat.fetch.download.partial import Partial
    from dlcat.fetch.records import Progress
    from dlcat.fetch.wire.hosts import Slot
    from dlcat.fetch.wire.network import Network
    from dlcat.fetch.wire.transport import Response

TICK_SECONDS = 0.1
WORTH_SECONDS = 1.0
"""What is left must take at least this long before another connection is made for it."""
SPLIT_BYTES = 2**20
"""No lane is started for less."""
LIMIT_CLAIMS = 4096
"""Large files are claimed in larger stretches, so that the claims stay small."""
DISMISS_SECONDS = 2.0
"""For lanes that are told to end to claim what they have written."""
FLOOR_BYTES_PER_SECOND = 1024
FLOOR_SECONDS = 60
"""A source that gives less than the floor for this long is as good as silent."""


@dataclass(frozen=True, slots=True)
class Want:
    """What is known of the file before a byte of it is here."""

    file: str
    """Its name, which tells what its first bytes look like."""
    any_wrapper: bool = False
    """Another archive with the right files inside will do, so that the first bytes may be of another kind."""
    expected_bytes: int | None = None
    """Another length than this is refused, before the first byte where the source announces it."""
    limit_bytes: int | None = None
    """More than this is never written."""
    trusting: bool = False
    """A published checksum decides in the end, so bytes may be joined that are only likely to be of one file."""


class _Lane:
    """One connection: what it fills, and how it ended."""

    def __init__(self, start: int, end: int | None, donor: _Lane | None = None) -> None:
        self.start = start
        self.position = start
        self.end = end
        """One past the last byte it may write; another lane may take over the rest and lower it."""
        self.promised: int | None = None
        """From where on another lane will take over, once it has an answer."""
        self.donor = donor
        self.slot: Slot | None = None
        self.response: Response | None = None
        self.gave_way = False
        """Whether it was told to end where it is, for a file that has no connection yet."""
        self.fills = False
        """Whether the answer has come and fits, so that what is left can be given away."""
        self.error: BaseException | None = None
        self.ended = False

    @property
    def left_bytes(self) -> int:
        """What it has to do still, and can give away; 0 where that is not known."""
        if not self.fills or self.end is None or self.promised is not None:
            return 0
        return self.end - self.position


class Crew:
    """The lanes of one pull. What they share is changed under `_changed` only."""

    def __init__(self, source: str, partial: Partial, want: Want, network: Network) -> None:
        self._source = source
        self._partial = partial
        self._want = want
        self._network = network
        self._changed = Condition(RLock())
        self._lanes: list[_Lane] = []
        self._most_lanes = network.connections
        self._done_bytes = partial.received_bytes
        self._dismissed = False

    def work(self) -> Iterator[Progress]:
        pace = _Pace()
        beginning = self._beginning()
        if beginning is not None:
            self._start_lane(_Lane(*beginning))
        while True:
            with self._changed:
                self._changed.wait_for(lambda: not self._lanes or any(lane.ended for lane in self._lanes), TICK_SECONDS)
            yield self._done_bytes, self._total_bytes()
            self._settle()
            self._network.raise_if_cancelled()
            floor = self._network.floor(FLOOR_BYTES_PER_SECOND)
            if pace.is_silent(self._done_bytes, floor, is_served=self._is_served()):
                raise SourceError(f"less than {floor:.0f} bytes a second for {FLOOR_SECONDS} s")
            if self._lanes:
                self._give_way()
                self._add_lanes(pace.bytes_per_second)
            elif self._partial.wait_until_read(TICK_SECONDS):
                gaps = self._partial.gaps()
                if not gaps:
                    return
                self._start_lane(_Lane(*gaps[0]))

    def dismiss(self) -> None:
        """End every lane; what they have written stays."""
        with self._changed:
            self._dismissed = True
            responses = [lane.response for lane in self._lanes if lane.response is not None]
        for response in responses:
            response.abort()
        with self._changed:  # a lane that is still connecting writes nothing, and need not be waited for
            self._changed.wait_for(lambda: all(lane.ended for lane in self._lanes if lane.response), DISMISS_SECONDS)

    def _is_served(self) -> bool:
        """Whether a lane waits for bytes, and not for its turn; an interruption between two lanes counts, too."""
        with self._changed:
            return not self._lanes or any(lane.response is not None for lane in self._lanes)

    def _beginning(self) -> tuple[int, int | None] | None:
        """The first gap, the whole file where the bytes here cannot be gone on with, or None where all are here."""
        origin = self._partial.origin
        if origin is None or not (self._want.trusting or self._vouched()):
            return 0, None
        if self._want.expected_bytes not in (None, origin.size_bytes) and origin.size_bytes is not None:
            return 0, None
        gaps = self._partial.gaps()
        if gaps:
            return gaps[0]
        if not self._want.trusting:
            return 0, None
        self._partial.mix()  # this source has not been asked, and is not to blame if they are wrong
        return None

    def _vouched(self) -> bool:
        """Whether the source itself can tell that the bytes here are of what it serves now."""
        origin = self._partial.origin
        return origin is not None and origin.source == redact(self._source) and origin.validator is not None

    def _total_bytes(self) -> int | None:
        origin = self._partial.origin
        found = None if origin is None else origin.size_bytes
        return self._want.expected_bytes if found is None else found

    def _settle(self) -> None:
        """Take the ended lanes out. The failure of the last one, or one that concerns all, is the pull's."""
        with self._changed:
            ended = [lane for lane in self._lanes if lane.ended]
            self._lanes = [lane for lane in self._lanes if not lane.ended]
        for lane in ended:
            if lane.error is None:
                continue
            concerns_all = not isinstance(lane.error, SourceError)
            if isinstance(lane.error, ChangedError):
                concerns_all = lane.donor is None  # some servers give the whole file, and 416 to every range
            if not self._lanes or concerns_all:
                raise lane.error
            self._most_lanes = len(self._lanes)

    def _add_lanes(self, bytes_per_second: float) -> None:
        if not (self._want.trusting or self._vouched()):
            return
        while len(self._lanes) < self._most_lanes and self._network.has_slot(self._source):
            with self._changed:
                donor = max(self._lanes, key=lambda lane: lane.left_bytes)
                left_bytes = sum(lane.left_bytes for lane in self._lanes)
                if donor.left_bytes < 2 * SPLIT_BYTES or left_bytes < WORTH_SECONDS * bytes_per_second:
                    return
                assert donor.end is not None
                donor.promised = donor.end - donor.left_bytes // 2
                lane = _Lane(donor.promised, donor.end, donor)
            self._start_lane(lane)

    def _give_way(self) -> None:
        """End the lane with the least to do if someone needs its connection; what it leaves is brought at the end."""
        with self._changed:
            able = [lane for lane in self._lanes if lane.left_bytes and not lane.ended]
            if len(able) < 2:
                return
            lane = min(able, key=lambda lane: lane.left_bytes)
            assert lane.slot is not None  # it has an answer
            assert lane.response is not None
            if not self._network.give_way(lane.slot):
                return
            lane.gave_way = True
            lane.end = lane.position
        lane.response.abort()  # it may be waiting for a byte

    def _start_lane(self, lane: _Lane) -> None:
        with self._changed:
            self._lanes.append(lane)
        Thread(target=self._run_lane, args=(lane,), name="dlcat-lane", daemon=True).start()

    def _run_lane(self, lane: _Lane) -> None:
        try:
            with ExitStack() as stack:
                # Who helps another lane must not be waited for: that one may well have ended before there is a slot.
                take_slot = self._network.slot if lane.donor is None else self._network.spare_slot
                lane.slot = stack.enter_context(take_slot(self._source))
                if lane.slot is None:
                    return
                self._require_wanted()
                found = self._begin_anew if lane.start == 0 and lane.end is None else self._go_on
                response = found(lane, stack)
                if response is not None:
                    self._read(lane, response)
        except BaseException as error:  # handed to the thread that works the crew
            if not (lane.gave_way and isinstance(error, SourceError)):
                lane.error = error
        finally:
            with self._changed:
                if lane.donor is not None and lane.donor.promised == lane.start:
                    lane.donor.promised = None
                lane.ended = True
                self._changed.notify_all()

    def _require_wanted(self) -> None:
        """A lane that was slow to connect must touch nothing when others have taken over."""
        with self._changed:
            if self._dismissed:
                raise SourceError("cancelled")

    def _begin_anew(self, lane: _Lane, stack: ExitStack) -> _Body:
        """The whole file, from its first byte; only after a look at that byte is anything that is here given up."""
        asked = Asked()
        response = self._answer(lane, asked, stack)
        weigh(asked, response.answer)
        return self._accept_whole(lane, response)

    def _go_on(self, lane: _Lane, stack: ExitStack) -> _Body | None:
        """What is missing, of the version that is here; the whole file where the source has only that."""
        origin = self._partial.origin
        assert origin is not None
        asked = Asked(lane.start, lane.end, origin.validator if self._vouched() else None, origin.size_bytes)
        response = self._answer(lane, asked, stack)
        if self._has_another_tag(asked, response):
            # Some servers give every answer another ETag. The file's checksum will tell.
            asked = replace(asked, validator=None)
            response.close()
            response = self._answer(lane, asked, stack)
        verdict = weigh(asked, response.answer)
        if verdict == "append":
            if asked.validator is None:
                with self._changed:
                    self._require_wanted()
                    self._partial.mix()
            return self._take_over(lane, response)
        if lane.donor is not None:  # one lane must do
            self._most_lanes = 1
            return None
        return self._accept_whole(lane, response)

    def _has_another_tag(self, asked: Asked, response: Response) -> bool:
        """Whether the file may be the same one nevertheless, to be trusted until its checksum is known."""
        answer = response.answer
        is_likely = answer.status in (200, 206) and answer.total_bytes == asked.total_bytes is not None
        return self._want.trusting and is_likely and asked.validator not in (None, answer.validator)

    def _answer(self, lane: _Lane, asked: Asked, stack: ExitStack) -> Response:
        network = self._network
        session = stack.enter_context(network.session())
        response = stack.enter_context(opened(self._source, asked, session, network.authentication(self._source)))
        with self._changed:
            lane.response = response
            self._require_wanted()
        if response.answer.asks_to_slow_down:
            network.slow_down(self._source, response.answer.wait_seconds)
        return response

    def _accept_whole(self, lane: _Lane, response: Response) -> _Body:
        """Look at the length and the first kilobyte; if they can be the file's, begin the partial with them.

        Raises:
            WrongBytesError: they cannot.
        """
        want, answer = self._want, response.answer
        body = _Body(response)
        start = body.peek()
        wrong = diagnose(
            start,
            file="" if want.any_wrapper else want.file,
            content_type=response.content_type,
            url=response.url,
            size_bytes=answer.total_bytes,
            expected_bytes=want.expected_bytes,
        )
        if wrong is not None:
            raise WrongBytesError(want.file, wrong, start)
        if want.expected_bytes is not None and answer.total_bytes not in (None, want.expected_bytes):
            raise WrongBytesError(f"{want.expected_bytes} bytes", f"{answer.total_bytes} announced", start)
        with self._changed:
            self._require_wanted()
            self._partial.begin(Origin(redact(self._source), answer.validator, answer.total_bytes))
            lane.start = lane.position = 0
            lane.end = answer.total_bytes
            lane.fills = True
            self._done_bytes = 0
        return body

    def _take_over(self, lane: _Lane, response: Response) -> _Body | None:
        with self._changed:
            self._require_wanted()
            if lane.donor is not None:
                if lane.donor.promised != lane.start or lane.donor.position > lane.start or lane.donor.ended:
                    return None  # it was faster
                lane.donor.promised = None
                lane.donor.end = lane.start
            origin, total_bytes = self._partial.origin, response.answer.total_bytes
            if origin is not None and origin.size_bytes is None and total_bytes is not None:
                self._partial.end_at(total_bytes)
            lane.end = response.answer.end
            lane.fills = True
        return _Body(response)

    def _read(self, lane: _Lane, body: _Body) -> None:
        partial, limit_bytes = self._partial, self._want.limit_bytes
        size_bytes = self._total_bytes() or 0
        writer = Writer(partial, lane.position, max(CLAIM_BYTES, size_bytes // LIMIT_CLAIMS))
        try:
            for chunk in body:
                for piece in self._network.paced(chunk):
                    room = self._reserve(lane, len(piece))
                    if limit_bytes is not None and lane.position > limit_bytes:
                        raise WrongBytesError(f"at most {limit_bytes} bytes", "more")
                    writer.write(piece[:room])
                    if room < len(piece) or lane.position == lane.end:
                        return
        finally:
            writer.close()
        if lane.end is None:
            partial.end_at(lane.position)
        elif lane.position < lane.end:
            done_bytes, all_bytes = lane.position - lane.start, lane.end - lane.start
            raise SourceError(f"the body ended after {done_bytes} of {all_bytes} bytes")

    def _reserve(self, lane: _Lane, count: int) -> int:
        """How many of the next bytes are the lane's to write."""
        with self._changed:
            if self._dismissed:
                raise SourceError("cancelled")
            room = count if lane.end is None else min(count, lane.end - lane.position)
            lane.position += room
            self._done_bytes += room
            return room


class _Body:
    """The chunks of a response, of which the first can be looked at before they are taken."""

    def __init__(self, response: Response) -> None:
        self._chunks = response.chunks()
        self._first: list[bytes] = []

    def peek(self) -> bytes:
        """The first kilobyte, or less where there is no more."""
        while sum(map(len, self._first)) < EVIDENCE_BYTES and (chunk := next(self._chunks, b"")):
            self._first.append(chunk)
        return b"".join(self._first)[:EVIDENCE_BYTES]

    def __iter__(self) -> Iterator[bytes]:
        yield from self._first
        self._first.clear()
        yield from self._chunks


class _Pace:
    """How fast bytes come, and whether they hardly do."""

    def __init__(self) -> None:
        self.bytes_per_second = 0.0
        self._began_seconds: float | None = None
        self._began_bytes = 0
        self._checked = (monotonic(), 0)

    def is_silent(self, done_bytes: int, floor_bytes_per_second: float, *, is_served: bool) -> bool:
        """Take note of the bytes so far; True where too few came for too long, waiting for one's turn not counted."""
        now_seconds = monotonic()
        if not is_served:
            self._checked = now_seconds, done_bytes
        if self._began_seconds is None or done_bytes < self._began_bytes:
            self._began_seconds, self._began_bytes, self._checked = now_seconds, done_bytes, (now_seconds, done_bytes)
        self.bytes_per_second = (done_bytes - self._began_bytes) / max(now_seconds - self._began_seconds, TICK_SECONDS)
        then_seconds, then_bytes = self._checked
        if now_seconds - then_seconds < FLOOR_SECONDS:
            return False
        self._checked = now_seconds, done_bytes
        return done_bytes - then_bytes < floor_bytes_per_second * FLOOR_SECONDS
