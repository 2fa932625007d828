"""YAML to Dataset records: every fault of a catalog file at once, each with file, line, what was expected and found.

Imports pydantic, so it is reached only when a catalog file is new or has changed.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from dlcat.catalog.dataset import ARCHIVES, Artifact, Dataset
from dlcat.errors import InvalidError, nearest
from dlcat.schema import Fault, Schema, choice, short

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dlcat.document import Document, Where

HASH_DIGITS = {"sha256": 64, "sha512": 128, "sha384": 96, "sha1": 40, "md5": 32}
"""Checksum algorithms a catalog may use, and the length of their hexadecimal digests."""

_SCHEMA = Schema(Dataset)
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_SOURCE = re.compile(r"(https?://[^\s/]+/\S*|package:[A-Za-z0-9_.-]+/\S+)")
_DRIVE = re.compile(r"[A-Za-z]:")
_TREE = re.compile(rf"sha256:[0-9a-f]{{{HASH_DIGITS['sha256']}}}")


def datasets(document: Document) -> dict[str, Dataset]:
    """The entries of a catalog file.

    Raises:
        InvalidError: one line per fault, all faults of the file together.
    """
    found: dict[str, Dataset] = {}
    faults: list[Fault] = []
    for name, raw in document.data.items():
        entry = _dataset(name, raw, faults)
        if entry is not None:
            found[name] = entry
            faults += [((name, *where), text) for where, text in _contradictions(entry)]
    if faults:
        raise InvalidError("\n".join(f"{document.at(where)}: {text}" for where, text in faults))
    return found


def json_schema() -> dict[str, Any]:
    """The JSON Schema of catalog.yaml (draft 2020-12), for editors that complete and check it."""
    entry = _SCHEMA.json_schema()
    definitions = entry.pop("$defs")
    definitions["Dataset"] = entry
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "dlcat catalog",
        "type": "object",
        "propertyNames": {"pattern": f"^{_NAME.pattern}$"},
        "additionalProperties": {"$ref": "#/$defs/Dataset"},
        "$defs": definitions,
    }


def _dataset(name: str, raw: Any, faults: list[Fault]) -> Dataset | None:
    if not _NAME.fullmatch(name):
        faults.append(((name,), f"expected a name in kebab-case (a-z, 0-9, single hyphens), found {name!r}"))
    if not isinstance(raw, dict):
        faults.append(((name,), f"expected an entry with keys, found {short(raw)}"))
        return None
    dataset, found = _SCHEMA.read(raw | {"reader": choice(raw.get("reader"))})
    faults += [((name, *where), text) for where, text in found]
    return replace(dataset, name=name) if isinstance(dataset, Dataset) else None


def _contradictions(dataset: Dataset) -> Iterator[Fault]:
    """What is well formed and still cannot be."""
    if dataset.access != "open" and not dataset.instructions:
        yield ("instructions",), f"expected where to ask for the files, because access is {dataset.access}"
    if not dataset.citation.lstrip().startswith("@"):
        yield ("citation",), f"expected BibTeX (@article{{...}}), found {short(dataset.citation)}"
    for split in dataset.splits:  # it names a folder of the cache
        if not _is_inside(split) or "/" in split:
            yield ("splits", split), f"expected a name without folders, found {split!r}: it would leave its folder"
    seen: set[str] = set()
    for position, artifact in enumerate(dataset.artifacts):
        where = ("artifacts", position)
        if artifact.file in seen:
            yield (*where, "file"), f"expected a file name of its own, found {artifact.file!r} a second time"
        seen.add(artifact.file)
        for path, text in _artifact_faults(artifact, dataset):
            yield (*where, *path), text
    if isinstance(dataset.classes, str) and dataset.classes not in seen:
        yield ("classes",), f"expected names, a number or an artifact's file, found {dataset.classes!r}"
    sizes = [artifact.size for artifact in dataset.selected()]
    known = [size for size in sizes if size is not None]
    if dataset.size.download is not None and len(known) == len(sizes) and sum(known) != dataset.size.download:
        yield ("size", "download"), f"expected {sum(known)}, the sum of the artifacts, found {dataset.size.download}"


def _artifact_faults(artifact: Artifact, dataset: Dataset) -> Iterator[Fault]:
    if not _is_inside(artifact.file) or "/" in artifact.file:
        yield ("file",), f"expected a file name without folders, found {artifact.file!r}: it would leave its folder"
    if not artifact.urls and dataset.access == "open":
        yield ("urls",), "expected at least one source, because access is open"
    for position, url in enumerate(artifact.urls):
        if not _SOURCE.fullmatch(url):
            yield ("urls", position), f"expected http(s)://host/path or package:NAME/path, found {url!r}"
    if artifact.split is not None and artifact.split not in dataset.splits:
        yield ("split",), f"no split named {artifact.split!r}; {nearest(artifact.split, dataset.splits)}"
    if artifact.part is not None and artifact.part not in dataset.parts:
        yield ("part",), f"no part named {artifact.part!r}; {nearest(artifact.part, dataset.parts)}"
    yield from _inside_faults(artifact)
    yield from _digest_faults(artifact.checksums, ("checksums",))
    for position, other in enumerate(artifact.other_versions):
        yield from _digest_faults(other.checksums, ("other_versions", position, "checksums"))
    for position, member in enumerate(artifact.contents):
        where = ("contents", position)
        if not _is_inside(member.path):
            yield (*where, "path"), f"expected a path inside the archive, found {member.path!r}: it would leave it"
        yield from _digest_faults(member.checksums, where)


def _inside_faults(artifact: Artifact) -> Iterator[Fault]:
    """What is said of files inside an artifact that has none, or in a form that nothing can be held to."""
    if artifact.tree is not None and not _TREE.fullmatch(artifact.tree):
        yield ("tree",), f"expected sha256: and 64 hexadecimal digits in lower case, found {artifact.tree!r}"
    if artifact.tree is not None and artifact.unpack == "none":
        yield ("tree",), "expected no tree, because the artifact does not unpack (unpack: none)"
    if artifact.nested is not None and artifact.unpack not in ARCHIVES:
        expected = f"expected an artifact that unpacks to several files (unpack: {' or '.join(ARCHIVES)})"
        yield ("nested",), f"{expected}, found unpack: {artifact.unpack}"


def _digest_faults(checksums: dict[str, str], where: Where) -> Iterator[Fault]:
    for algorithm, digest in checksums.items():
        digits = HASH_DIGITS.get(algorithm)
        if digits is None:
            yield (*where, algorithm), f"no checksum named {algorithm!r}; {nearest(algorithm, HASH_DIGITS)}"
        elif not re.fullmatch(rf"[0-9a-f]{{{digits}}}", digest):
            yield (*where, algorithm), f"expected {digits} hexadecimal digits in lower case, found {digest!r}"


def _is_inside(path: str) -> bool:
    """Whether a path, on any system, stays below the folder it is joined to."""
    parts = PurePosixPath(path).parts
    hostile = path.startswith("/") or "\\" in path or "\0" in path or _DRIVE.match(path)
    return bool(parts) and not hostile and ".." not in parts and path != "."
