"""aclimdb: reviews of films, one file each, named after its number and the stars given (Maas et al. 2011)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from dlcat.readers.examples import Bad, Example, for_split, reader
from dlcat.readers.text_files import numbered_files, text_lines, whole_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOP = "aclImdb"
RATINGS = {"neg": range(1, 5), "pos": range(7, 11), "unsup": range(11)}
"""What may be given in each folder; 0 stands for not told."""
SPLITS = {"train": ("train", ("neg", "pos")), "test": ("test", ("neg", "pos")), "unsupervised": ("train", ("unsup",))}
_NAME = re.compile(r"([0-9]{1,9})_([0-9]{1,2})\.txt")
_FILM = re.compile(r"/title/(tt[0-9]{1,12})(?:/|$)")


@reader(gives="texts")
def aclimdb(
    folder: Path, split: str, *, target: Literal["sentiment", "rating"] = "sentiment"
) -> Iterator[Example | Bad]:
    """Reviews in aclImdb/<train|test>/<neg|pos>/ID_RATING.txt, with the film as group (Maas et al. 2011).

    `rating` is the number of stars, 1 to 4 or 7 to 10. The reviews in train/unsup are a split of their own, without a
    target. HTML line breaks are left in the text.
    """
    part, kinds = for_split(split, SPLITS)
    for kind in kinds:
        films = _films(folder, part, kind)
        for name in numbered_files(folder / TOP / part / kind, "reviews ID_RATING.txt"):
            yield _review(folder, f"{TOP}/{part}/{kind}/{name}", films, target)


def _review(folder: Path, place: str, films: list[str], target: str) -> Example | Bad:
    _, _, kind, name = place.split("/")
    match = _NAME.fullmatch(name)
    if match is None:
        return Bad(place, "a name ID_RATING.txt", name)
    number, rating = int(match[1]), int(match[2])
    if rating not in RATINGS[kind]:
        return Bad(place, f"a rating from {RATINGS[kind].start} to {RATINGS[kind].stop - 1}", str(rating))
    if number >= len(films) or not films[number]:
        return Bad(place, f"its film on line {number + 1} of urls_{kind}.txt", f"{len(films)} lines")
    text = whole_text(folder, place)
    if isinstance(text, Bad):
        return text
    told: str | float = float(rating) if target == "rating" else kind
    return Example(text, None if kind == "unsup" else told, place, films[number])


def _films(folder: Path, part: str, kind: str) -> list[str]:
    """Which film each review is about, by the review's number: as IMDb names it, or nothing where the line names none."""
    lines = text_lines(folder / TOP / part / f"urls_{kind}.txt", folder)
    matches = (None if isinstance(line, Bad) else _FILM.search(line[1]) for line in lines)
    return ["" if match is None else match[1] for match in matches]
