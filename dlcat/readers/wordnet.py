"""wordnet: the dictionary files of Princeton's WordNet, as the manual page wndb(5WN) describes them (Miller 1995)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from dlcat.errors import VerificationError
from dlcat.readers.examples import Bad, Example, for_split, reader
from dlcat.readers.text_files import MOST_BYTES, decoded, opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SPLITS = {"noun": "n", "verb": "v", "adj": "as", "adv": "r"}
"""What a synset of each file may be; `s` is an adjective that stands by another one (a satellite)."""
PLACES = ("wordnet", "dict", "WordNet-3.0/dict")
"""Where version 3.0 lies as NLTK, as Princeton and as the source code has it."""
LEXICOGRAPHERS = 45
RELATIONS = {
    "!": "antonym", "@": "hypernym", "@i": "instance hypernym", "~": "hyponym", "~i": "instance hyponym",
    "#m": "member holonym", "#s": "substance holonym", "#p": "part holonym",
    "%m": "member meronym", "%s": "substance meronym", "%p": "part meronym",
    "=": "attribute", "+": "derivationally related form", "*": "entailment", ">": "cause", "^": "also see",
    "$": "verb group", "&": "similar to", "<": "participle of verb", "\\": "pertains to",
    ";c": "domain topic", "-c": "member of topic", ";r": "domain region", "-r": "member of region",
    ";u": "domain usage", "-u": "member of usage",
}  # fmt: skip
IN_INDEX = RELATIONS | {";": "domain", "-": "member of domain"}
"""An index does not tell which kind of domain it is."""


class Relation(NamedTuple):  # there are 285,000: a dataclass takes three times as long
    """From a synset, or a word in it, to another."""

    name: str
    synset: str
    """The other one's id."""
    source: int
    """The number of the word it starts from, from 1; 0 for the whole synset."""
    target: int
    """The number of the word it leads to."""


@dataclass(frozen=True, slots=True)
class Synset:
    """Words of one meaning."""

    place: str
    id: str
    """Part of speech and offset, as ImageNet has them: n00001740."""
    lexicographer: int
    """The position of the lexicographer file it was written in, among the 45."""
    words: tuple[str, ...]
    relations: tuple[Relation, ...]
    frames: tuple[tuple[int, int], ...]
    """Of verbs: the number of a sentence frame, and of the word it is for (0: all of them)."""
    gloss: str


@reader(gives="texts")
def wordnet(folder: Path, split: str, *, inside: str = "") -> Iterator[Example | Bad]:
    """The gloss of every synset; its class is the lexicographer file it was written in (Miller 1995).

    The group is the synset. `inside` names the folder of data.noun where it is another than version 3.0 has
    (wordnet31, wordnet2022).
    """
    for synset in synsets(folder, split, inside):
        if isinstance(synset, Bad):
            yield synset
        else:
            yield Example(synset.gloss, synset.lexicographer, synset.place, synset.id)


@reader(gives="records")
def wordnet_synsets(folder: Path, split: str, *, inside: str = "") -> Iterator[Example | Bad]:
    """Every synset whole: words, relations, sentence frames and gloss (Miller 1995)."""
    for synset in synsets(folder, split, inside):
        if isinstance(synset, Bad):
            yield synset
            continue
        relations = [each._asdict() for each in synset.relations]
        record = {"id": synset.id, "words": list(synset.words), "relations": relations, "gloss": synset.gloss}
        frames = [list(frame) for frame in synset.frames]
        yield Example(record | {"frames": frames}, synset.lexicographer, synset.place, synset.id)


@reader(gives="records")
def wordnet_words(folder: Path, split: str, *, inside: str = "") -> Iterator[Example | Bad]:
    """Every word of an index file: its synsets, most frequent sense first, and the relations it takes part in (Miller 1995)."""
    letter = for_split(split, SPLITS)[0]
    for place, text in _entries(folder, f"index.{split}", inside):
        entry = text if isinstance(text, Bad) else _word(place, text, letter)
        yield entry if isinstance(entry, Bad) else Example(entry, None, place, entry["word"])


def synsets(folder: Path, split: str, inside: str = "") -> Iterator[Synset | Bad]:
    """Every synset of a part of speech, in the file's order.

    Raises:
        VerificationError: the file is not there.
        InvalidError: there is no such part of speech.
    """
    kinds = for_split(split, SPLITS)
    for place, text in _entries(folder, f"data.{split}", inside, offsets=True):
        yield text if isinstance(text, Bad) else _synset(place, text, kinds)


def _entries(folder: Path, file: str, inside: str, *, offsets: bool = False) -> Iterator[tuple[str, str | Bad]]:
    """Place and text of every line below the licence, which is indented.

    With `offsets`, a line must begin with its own position in the file: by these the synsets point at each other.
    """
    name = f"{_home(folder, file, inside)}/{file}"
    end = 0
    with opened(folder / name) as stream:
        for number, line in enumerate(iter(partial(stream.readline, MOST_BYTES), b""), 1):
            start, end = end, end + len(line)
            if line.startswith(b"  "):
                continue
            place = f"{name}:{number}"
            text = decoded(line.removesuffix(b"\n"), place)
            if offsets and isinstance(text, str) and text[:9] != f"{start:08d} ":
                text = Bad(place, f"the line's offset, {start:08d}", repr(text[:8]))
            yield place, text


def _home(folder: Path, file: str, inside: str) -> str:
    places = (inside,) if inside else PLACES
    for place in places:
        if (folder / place / file).is_file():
            return place
    raise VerificationError(
        f"{folder}: expected {file} in {' or '.join(places)}, found none", hint="dlcat fetch wordnet --part nltk-3.0"
    )


def _synset(place: str, text: str, kinds: str) -> Synset | Bad:
    """What a line of a data file says; every count in it is held against what follows."""
    head, bar, gloss = text.partition("|")
    try:
        offset, file, kind, *rest = head.split()
        words, rest = _counted(rest, base=16, width=2)
        relations, rest = _counted(rest, base=10, width=4)
        frames, rest = _counted(rest, base=10, width=3) if rest else ([], [])
        lexicographer = int(file)
        related = tuple(_relation(*each) for each in relations)
        framed = tuple((int(frame), int(word, 16)) for _, frame, word in frames)
    except (ValueError, KeyError) as error:
        return Bad(place, "a synset as wndb(5WN) has it", f"{type(error).__name__}: {str(error)[:100]}")
    if not bar or rest or kind not in kinds or not 0 <= lexicographer < LEXICOGRAPHERS:
        found = f"{kind[:2]!r}, file {lexicographer}, {len(rest)} fields too many, {'a' if bar else 'no'} gloss"
        return Bad(place, f"a synset of type {' or '.join(kinds)}, file 0 to 44, and a gloss", found)
    return Synset(
        place, kinds[0] + offset, lexicographer, tuple(each[0] for each in words), related, framed, gloss.strip()
    )


def _counted(fields: list[str], *, base: int, width: int) -> tuple[list[list[str]], list[str]]:
    """So many groups of fields as the first field says, and what follows them.

    Raises:
        ValueError: there are fewer.
    """
    count, *rest = fields
    end = int(count, base) * width
    if not 0 <= end <= len(rest):
        raise ValueError(f"{end} fields are promised, {len(rest)} follow")
    return [rest[start : start + width] for start in range(0, end, width)], rest[end:]


def _relation(symbol: str, offset: str, kind: str, words: str) -> Relation:
    if len(words) != 4 or kind not in "nvar":
        raise ValueError(f"pointer {symbol} {offset} {kind} {words}")
    return Relation(RELATIONS[symbol], kind + offset, int(words[:2], 16), int(words[2:], 16))


def _word(place: str, text: str, letter: str) -> dict[str, Any] | Bad:
    """What a line of an index file says."""
    try:
        word, kind, synset_count, relation_count, *rest = text.split()
        symbols, rest = rest[: int(relation_count)], rest[int(relation_count) :]
        senses, tagged, *offsets = rest
        relations = [IN_INDEX[symbol] for symbol in symbols]
        expected = (letter, len(offsets), len(offsets), int(relation_count))
        found = (kind, int(synset_count), int(senses), len(symbols))
        if found != expected:
            raise ValueError(f"{found} where {expected} follow")
        return {
            "word": word,
            "synsets": [letter + each for each in offsets],
            "relations": relations,
            "tagged": int(tagged),
        }
    except (ValueError, KeyError) as error:
        return Bad(place, "a word as wndb(5WN) has it", f"{type(error).__name__}: {str(error)[:100]}")
