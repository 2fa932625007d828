"""Everything dlcat tells a user when it cannot go on.

DlcatError                 1   a fault of ours
├── UsageError             2   the command was asked for something that does not exist
├── InvalidError           3   a catalog, recipe or run does not say what it must
├── UnreachableError       4   no source of a file could be reached
├── VerificationError      5   bytes are not what they must be: the catalog's, or an exported network's
├── AccessError            6   a person must ask for the data, or may not have it
├── DiskError              7   there is no room, or no right to write
├── DivergedError          8   training left the finite numbers
├── LostError              9   another process of the same training ended
└── StoppedError         130   somebody asked it to stop, and it has kept where it was

Ctrl-C ends with 130 everywhere. A message says where, what was expected and what was found; the hint says what to do next.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable


class DlcatError(Exception):
    """A failure a user can act on: `message` (one or more lines), `hint` (what to do next) and the exit code."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


class UsageError(DlcatError):
    """A command names a dataset, run, file or option that does not exist."""

    exit_code = 2


class InvalidError(DlcatError):
    """A catalog, recipe or run file does not follow its schema, or cannot mean what it says."""

    exit_code = 3


class UnreachableError(DlcatError):
    """Every source of an artifact was tried, and none could be reached."""

    exit_code = 4


class VerificationError(DlcatError):
    """Bytes arrived, or lie in the cache, that are not the catalog's, or a file that was exported computes something else."""

    exit_code = 5


class AccessError(DlcatError):
    """The data must be asked for by a person (by-hand), or are gone."""

    exit_code = 6


class DiskError(DlcatError):
    """The disk is too small or refuses to be written."""

    exit_code = 7


class DivergedError(DlcatError):
    """The loss is no longer a finite number."""

    exit_code = 8


class LostError(DlcatError):
    """Another process that took part in the same training has ended."""

    exit_code = 9


INTERRUPTED_EXIT_CODE = 130


class StoppedError(DlcatError):
    """Somebody asked it to stop, and it has kept where it was."""

    exit_code = INTERRUPTED_EXIT_CODE


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint that names the closest known word, or lists the known ones: `did you mean 'group'?`."""
    names = sorted(known)
    close = get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(names)}" if names else "none is known"
