"""csv_images: a folder of pictures per split, and a CSV file that says which class each is of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlcat.readers.csv_table import rows
from dlcat.readers.examples import Bad, Example, expect, for_split, reader
from dlcat.readers.fetched import names_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dlcat.readers.csv_table import Row


@reader(gives="pictures")
def csv_images(
    folder: Path,
    split: str,
    *,
    train: str = "train",
    test: str = "test",
    picture_column: str = "ID",
    class_column: str = "Class",
    classes: tuple[str, ...] = (),
) -> Iterator[Example | Bad]:
    """<train>/train.csv with the pictures in <train>/Train/, and <test>/test.csv with those in <test>/Test/, which has no classes.

    A contest packs it so (Analytics Vidhya); `classes` are the only ones there may be, where they are given.
    """
    top = for_split(split, {"train": train, "test": test})
    listed, inside = f"{top}/{split}.csv", f"{top}/{split.capitalize()}"
    expect((folder / top).is_dir(), folder / top, f"a folder with {split}.csv and {split.capitalize()}/", "none")
    pictures = names_in(folder / inside, "")
    columns = [picture_column] if split == "test" else [picture_column, class_column]
    seen: set[str] = set()
    for row in rows(folder / listed, columns, place=listed):
        if isinstance(row, Bad):
            yield row
        else:
            yield _picture(row, f"{listed}:{row.line}", inside, pictures, classes, seen)


def _picture(
    row: Row, place: str, inside: str, pictures: frozenset[str], classes: tuple[str, ...], seen: set[str]
) -> Example | Bad:
    """What a row says of one picture."""
    name, target = row.values[0], row.values[1] if len(row.values) > 1 else None
    if name not in pictures:
        return Bad(place, f"a picture in {inside}/", f"none named {name!r}")
    if name in seen:
        return Bad(place, "each picture once", f"{name!r} again")
    if target is not None and classes and target not in classes:
        return Bad(place, f"one of {', '.join(classes)}", repr(target))
    seen.add(name)
    return Example(f"{inside}/{name}", target, place)
