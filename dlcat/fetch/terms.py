"""Which terms this user has accepted: one line of JSON for every time somebody agreed, in the user's own data folder.

A line is {"dataset": ..., "who": ..., "when": ..., "terms_sha256": ...}. Lines are only ever added. Who has agreed to a
text has not agreed to another one: when its words change, the line no longer counts.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dlcat import locations
from dlcat.disk import disk_errors
from dlcat.errors import AccessError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from dlcat.catalog.dataset import Dataset, Terms

HINT = "the note of who accepted which terms must be kept; make that file writable for you"


@dataclass(frozen=True, slots=True)
class Consent:
    """Somebody agreed to a dataset's terms."""

    dataset: str
    who: str
    when: str
    """UTC, ISO 8601."""
    terms_sha256: str
    """Of the words that were agreed to, see `digest`."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What upstream asks of whoever uses a dataset, and how far this user is with it."""

    text: str
    """In plain words."""
    url: str | None
    """Where upstream's own words are."""
    required: bool
    """Whether nothing is fetched before they are accepted; else downloading accepts them."""
    accepted: Consent | None
    """Who agreed to them as they are now; None where nobody has."""
    changed: bool
    """Whether other words were accepted once, and these were not."""


def agreement(dataset: Dataset, consents: Path | None = None) -> Agreement | None:
    """What there is to agree to and whether that is done; None where the dataset has no terms.

    Args:
        dataset: the catalog entry.
        consents: the file of the notes; None for the user's own.

    Raises:
        DiskError: the notes are there and cannot be read.
    """
    if dataset.terms is None:
        return None
    path = consents or locations.consents_file()
    found = accepted(dataset, path)
    changed = found is None and any(consent.dataset == dataset.name for consent in read(path))
    return Agreement(dataset.terms.text.strip(), dataset.terms.url, dataset.terms.required, found, changed)


def require_acceptance(dataset: Dataset, consents: Path | None = None) -> None:
    """Stop where the dataset has terms that must be accepted, and this user has not accepted them as they are now.

    Args:
        dataset: the catalog entry.
        consents: the file of the notes; None for the user's own.

    Raises:
        AccessError: they are not accepted; says what they are, and how to accept them.
    """
    if dataset.terms is None or not dataset.terms.required:
        return
    found = agreement(dataset, consents)
    if found is not None and found.accepted is None:
        first = "have changed since you accepted them" if found.changed else "must be accepted by a person first"
        message = f"{dataset.name}: its terms {first}\n{plain(dataset.terms)}"
        raise AccessError(message, hint=f"dlcat accept {dataset.name}")


def accept(dataset: Dataset, consents: Path, *, who: str, now: datetime | None = None) -> Consent | None:
    """Note that a person agrees to the dataset's terms as they are now; None where it has none.

    Args:
        dataset: the catalog entry.
        consents: the file of the notes, see `locations.consents_file`.
        who: the person.
        now: the moment, with its time zone; None for this one.

    Raises:
        UsageError: nobody is named.
        DiskError: the note cannot be written.
    """
    if dataset.terms is None:
        return None
    if not who.strip():
        raise UsageError("expected the name of the person who accepts, found none", hint="say it with --as NAME")
    when = (now or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds")
    consent = Consent(dataset.name, who.strip(), when, digest(dataset.terms))
    _append(consents, json.dumps(asdict(consent), ensure_ascii=False))
    return consent


def accepted(dataset: Dataset, consents: Path) -> Consent | None:
    """The last note that somebody agreed to the terms as they are now; None where there is none, or no terms.

    Raises:
        DiskError: the notes are there and cannot be read.
    """
    if dataset.terms is None:
        return None
    agreed = (dataset.name, digest(dataset.terms))
    return next((found for found in reversed(read(consents)) if (found.dataset, found.terms_sha256) == agreed), None)


def read(consents: Path) -> list[Consent]:
    """Every note, oldest first; a line that says something else counts for nothing.

    Raises:
        DiskError: the file is there and cannot be read.
    """
    with disk_errors(consents, HINT):
        try:
            lines = consents.read_bytes().splitlines()
        except FileNotFoundError:
            return []
    return [consent for line in lines if (consent := _consent(line)) is not None]


def digest(terms: Terms) -> str:
    """The SHA-256 of the words of the terms: where the text breaks its lines makes no difference."""
    return hashlib.sha256(" ".join(terms.text.split()).encode()).hexdigest()


def plain(terms: Terms) -> str:
    """The terms as they are put before a person: the words, and where upstream's own are."""
    text = terms.text.strip()
    return text if terms.url is None else f"{text}\nupstream's own words, which bind: {terms.url}"


def _consent(line: bytes) -> Consent | None:
    try:
        raw: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    match raw:
        case {"dataset": str(dataset), "who": str(who), "when": str(when), "terms_sha256": str(sha256)}:
            return Consent(dataset, who, when, sha256)
    return None


def _append(path: Path, line: str) -> None:
    """Add a line in one write, so that two processes do not mix theirs; one that was cut short is ended first."""
    with disk_errors(path, HINT):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab+", buffering=0) as stream:
            begins = stream.seek(0, os.SEEK_END) == 0
            if not begins:
                stream.seek(-1, os.SEEK_END)
                begins = stream.read(1) == b"\n"
            # At the end, wherever was read. A name in no encoding stays legible JSON.
            stream.write(f"{'' if begins else chr(10)}{line}\n".encode(errors="backslashreplace"))
            os.fsync(stream.fileno())
