"""vqa: questions about COCO's pictures, each answered by ten people (VQA v2.0; Goyal et al. 2017, arXiv:1612.00837)."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from dlcat.readers.examples import Bad, Example, for_split, reader
from dlcat.readers.fetched import require_file
from dlcat.readers.fields import UnfitError, attempt, field
from dlcat.readers.json_stream import Index, elements
from dlcat.readers.positions import NOTHING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dlcat.readers.json_stream import Element

PICTURES = {"train": "train2014", "val": "val2014", "test": "test2015"}
"""COCO's split that a split's questions are about."""
ANSWERS = 10
"""People who answer each question."""


@reader(gives="records")
def vqa(folder: Path, split: str) -> Iterator[Example | Bad]:
    """v2_OpenEnded_mscoco_*_questions.json and v2_mscoco_*_annotations.json: questions, their answers, the paths of their pictures.

    A record has `question_id`, `question` and `picture`; and where answers are published `answers` (ten), `answer` (the most
    frequent), `question_type` and `answer_type`. The pictures need not be there: they are parts of their own. Questions about
    one picture are a group.
    """
    pictures = for_split(split, PICTURES)
    name = f"v2_OpenEnded_mscoco_{pictures}_questions.json"
    path = require_file(folder / name, "test" if split == "test" else "")
    with ExitStack() as stack:
        answers = None
        if split != "test":
            annotations = require_file(folder / f"v2_mscoco_{pictures}_annotations.json", "")
            answers = Index(stack.enter_context(open(annotations, "rb")))
            yield from _add_all(answers, annotations)
        for position, (_, element) in enumerate(elements(path, {"questions"})):
            place = f"{name}:questions[{position}]"
            yield attempt(partial(_question, element, place, pictures, answers), place)


def _add_all(answers: Index, path: Path) -> Iterator[Bad]:
    """Note where the answers to each question are; what belongs to none."""
    for position, (_, element) in enumerate(elements(path, {"annotations"})):
        number = attempt(partial(field, element.value, "question_id", int), f"{path.name}:annotations[{position}]")
        if isinstance(number, Bad):
            yield number
        answers.add(NOTHING if isinstance(number, Bad) else number, element)


def _question(element: Element, place: str, pictures: str, answers: Index | None) -> Example:
    """One question.

    Raises:
        UnfitError: a field is missing, or of another kind.
        ValueError: it is no UTF-8.
    """
    said = element.decoded()
    number, image = field(said, "question_id", int), field(said, "image_id", int)
    picture = f"{pictures}/COCO_{pictures}_{image:012d}.jpg"
    record = {"question_id": number, "question": field(said, "question", str), "picture": picture}
    return Example(record | (_answered(answers, number, image) if answers else {}), None, place, picture)


def _answered(answers: Index, number: int, image: int) -> dict[str, Any]:
    """The answers to a question about an image, as fields of its record.

    Raises:
        UnfitError: there are none, or they are not what they should be.
        ValueError: they are no UTF-8.
    """
    positions = answers.positions.of(number)
    if len(positions) != 1:
        raise UnfitError(f"one annotation for question {number}", f"{len(positions)}")
    said = answers.read(positions[0])
    if field(said, "image_id", int) != image:
        raise UnfitError(f"answers about image {image}", f"about image {said['image_id']}")
    texts = [field(each, "answer", str) for each in field(said, "answers", list)]
    if len(texts) != ANSWERS:
        raise UnfitError(f"{ANSWERS} answers to question {number}", f"{len(texts)}")
    words = {name: field(said, name, str) for name in ("question_type", "answer_type")}
    return {"answers": texts, "answer": field(said, "multiple_choice_answer", str), **words}
