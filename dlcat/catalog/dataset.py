"""One catalog entry, field by field: the schema of catalog.yaml, and the records the rest of dlcat works with.

The text under a field is its documentation, here and in the JSON Schema that editors read. These are plain dataclasses,
so that `dlcat list` need not import pydantic; `dlcat.catalog.validate` turns YAML into them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Len, MinLen

from dlcat.registry import STRICT, Choice

Domain = Literal["image", "nlp", "audio"]
Access = Literal["open", "by-hand", "gone"]
Unpack = Literal["none", "gz", "bz2", "xz", "zst", "zip", "tar"]
ARCHIVES: tuple[Unpack, ...] = ("tar", "zip")
"""What may hold several files, and so archives among them."""
Nested = Literal["tar", "tar.gz", "zip"]
Text = Annotated[str, MinLen(1)]
Bytes = Annotated[int, Ge(0)]
Count = Annotated[int, Ge(0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What the dataset holds, in two or three sentences."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    en: Text
    """English."""
    zh: Text
    """Chinese (simplified)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class License:
    """Under what terms the data may be used."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    id: Text | None
    """SPDX identifier, or LicenseRef-... for terms that have none; null where upstream states no licence."""
    note: str = ""
    """What a user must know beyond the identifier: who owns what, what is not covered, who says so."""
    url: str | None = None
    """Where the terms can be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What upstream wants a person to agree to before using the data."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    text: Text
    """What one agrees to, in plain words of the catalog's own; who agrees is asked again when it changes."""
    url: Text | None = None
    """Where upstream's own words are: they are what binds."""
    required: bool
    """true: fetch, import and training want `dlcat accept NAME` first; false: downloading accepts them, they are shown."""
    provenance: Text
    """Where it was read that upstream asks for this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """The published result that the catalog names for this dataset."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    title: Text
    """Title of the paper."""
    url: str | None = None
    """Its abstract page; null where none is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Bytes of what `dlcat fetch` brings by default; null where a part's size is not published."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    download: Bytes | None
    """Bytes of the artifacts as downloaded."""
    unpacked: Bytes | None
    """Bytes of the files after unpacking."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What one example looks like."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    shape: list[int | str] = field(default_factory=list)
    """Channels first for images ([1, 28, 28]), [time] for audio, [] for text; a word stands for a length that varies."""
    dtype: Text
    """uint8, int16, float32, text, ..."""
    rate_hertz: Annotated[int, Ge(1)] | None = None
    """Samples per second of audio; null where it varies or does not apply."""
    note: str = ""
    """What the numbers mean (pixel 0 is background), or how the shape varies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file inside an artifact: the second level of identity, for archives that upstream packs anew."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    path: Text
    """Path inside the archive (for gz and bz2: the name of the one file)."""
    size: Bytes | None = None
    """Bytes."""
    sha256: str | None = None
    """SHA-256, hexadecimal."""
    sha1: str | None = None
    """SHA-1, hexadecimal."""
    md5: str | None = None
    """MD5, hexadecimal."""

    @property
    def checksums(self) -> dict[str, str]:
        """The hashes that are known, strongest first."""
        known = {"sha256": self.sha256, "sha1": self.sha1, "md5": self.md5}
        return {algorithm: value for algorithm, value in known.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherVersion:
    """A file known to circulate under the same name with other content, which must not be taken for this one."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    checksums: dict[str, str]
    """Algorithm to hexadecimal digest of the other file."""
    note: Text
    """Which version it is, and who says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One file to download: where from, how long, which hash, and how it unpacks."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    file: Text
    """File name under artifacts/<dataset>/ and on a mirror; no folders, unique within the dataset."""
    urls: list[Text] = field(default_factory=list)
    """Sources, best first: http(s)://..., or package:NAME/path for a file inside an installed Python package."""
    size: Bytes | None = None
    """Bytes as downloaded; null where it is not published."""
    checksums: dict[str, str] = field(default_factory=dict)
    """Algorithm (sha256, sha512, sha384, sha1, md5) to hexadecimal digest; empty where none is published."""
    provenance: Text
    """Where size and checksums were read, or that none was found."""
    split: str | None = None
    """The one split it belongs to; null where it holds several or serves all."""
    part: str | None = None
    """The part of the dataset it belongs to (a key of `parts`), for `dlcat fetch --part`; null: always fetched."""
    unpack: Unpack = "none"
    """How it unpacks: tar covers .tar, .tar.gz, .tgz, .tar.bz2, .tar.xz and .tar.zst."""
    nested: Nested | None = None
    """Members with this ending are archives, too: each is unpacked into a folder of its name, and removed."""
    tree: Annotated[str, Len(71, 71)] | None = None
    """sha256:... of all files it unpacks to (docs/catalog.md): an archive with another hash and this tree is the same data."""
    contents: list[Member] = field(default_factory=list)
    """Files inside with their hashes: an archive with another hash but these members is the same data, newly wrapped."""
    other_versions: list[OtherVersion] = field(default_factory=list)
    """Files of the same name and other content that are known to circulate."""
    note: str = ""
    """What it holds, or what to look out for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A piece of a dataset that can be fetched alone."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    note: Text
    """What the part holds."""
    default: bool = False
    """Whether a plain `dlcat fetch NAME` brings it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """One catalog entry."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT
    title: Text
    """Full name."""
    domain: Domain
    """image, nlp or audio."""
    tasks: Annotated[list[Text], MinLen(1)]
    """What it is used for, kebab-case: image-classification, speech-recognition, ..."""
    summary: Summary
    """What it holds, in English and Chinese."""
    homepage: Text
    """Upstream's page."""
    license: License
    """Terms of use."""
    terms: Terms | None = None
    """What a person agrees to; null where upstream asks for no agreement."""
    access: Access
    """open: anyone may download; by-hand: registration, a form or terms; gone: no source is left."""
    instructions: str = ""
    """For by-hand and gone: where to ask, and which files to hand to `dlcat import`."""
    citation: Text
    """BibTeX."""
    paper: Paper | None = None
    """The result the catalog names."""
    size: Size
    """Bytes of what is fetched by default."""
    splits: dict[str, Count | None]
    """Number of examples per split; null where it is not published."""
    classes: list[str] | Annotated[int, Ge(1)] | str | None = None
    """Class names in label order, or their number, or the artifact that lists them; null where there are none."""
    targets: dict[str, list[str] | Annotated[int, Ge(1)] | Literal["number"] | str] = field(default_factory=dict)
    """What can be predicted, by the name that the reader's option `target` takes: class names in label order, their number,
    `number` for a number, or the reader's option that says how many classes there are. Empty where it is `classes` only."""
    sample: Sample
    """One example."""
    reader: Choice | None = None
    """What decodes the files: a name, or {name: ..., option: value}; null where no reader exists yet."""
    parts: dict[str, Part] = field(default_factory=dict)
    """Pieces that can be fetched alone; empty where everything is fetched together."""
    known_issues: list[Text] = field(default_factory=list)
    """What is wrong or surprising in the data, each with who reported it."""
    artifacts: Annotated[list[Artifact], MinLen(1)]
    """The files to download."""
    provenance: str = ""
    """Where the facts above were read."""
    name: str = field(default="", metadata={"internal": True})
    """The entry's key in the catalog; set when it is loaded, never written in the entry."""

    def selected(self, parts: tuple[str, ...] = ()) -> list[Artifact]:
        """The artifacts of the named parts ('all' for every one), or of the default parts where none is named."""
        if "all" in parts:
            return list(self.artifacts)
        chosen = set(parts) or {name for name, part in self.parts.items() if part.default}
        return [artifact for artifact in self.artifacts if artifact.part is None or artifact.part in chosen]
