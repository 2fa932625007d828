"""vqa: answers are found wherever they stand, and a question without them is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcat.errors import DlcatError, VerificationError
from dlcat.readers import Bad, Example
from dlcat.readers.vqa import vqa

QUESTIONS = "v2_OpenEnded_mscoco_val2014_questions.json"
ANNOTATIONS = "v2_mscoco_val2014_annotations.json"


def _annotation(number: int) -> dict[str, Any]:
    answers = [{"answer": "me", "answer_confidence": "yes", "answer_id": number} for number in range(1, 11)]
    about = {"question_type": "who", "multiple_choice_answer": "me", "answer_type": "other", "image_id": 5}
    return about | {"question_id": number, "answers": answers}


def _small() -> dict[str, list[Any]]:
    questions = [{"image_id": 5, "question": f"Who {number}?", "question_id": number} for number in (50, 51)]
    return {"questions": questions, "annotations": [_annotation(51), _annotation(50)]}


def _read(folder: Path, content: dict[str, list[Any]]) -> list[Example | Bad]:
    (folder / QUESTIONS).write_text(json.dumps({"questions": content["questions"]}))
    (folder / ANNOTATIONS).write_text(json.dumps({"annotations": content["annotations"]}))
    return list(vqa(folder, "val"))


def test_a_question_has_its_answers_and_its_picture(tmp_path: Path) -> None:
    first, second = _read(tmp_path, _small())
    assert isinstance(first, Example)
    assert isinstance(second, Example)
    picture = "val2014/COCO_val2014_000000000005.jpg"
    assert first.input == {
        "question_id": 50,
        "question": "Who 50?",
        "picture": picture,
        "answers": ["me"] * 10,
        "answer": "me",
        "question_type": "who",
        "answer_type": "other",
    }
    assert (first.target, first.group, second.group) == (None, picture, picture)
    assert first.place == f"{QUESTIONS}:questions[0]"


@pytest.mark.parametrize(
    ("change", "place", "expected", "found"),
    [
        (lambda file: file["annotations"].pop(), f"{QUESTIONS}:questions[0]", "one annotation for question 50", "0"),
        (lambda file: file["annotations"].append(file["annotations"][1]), f"{QUESTIONS}:questions[0]", "one annotation for question 50", "2"),
        (lambda file: file["annotations"][1].update(image_id=6), f"{QUESTIONS}:questions[0]", "answers about image 5", "about image 6"),
        (lambda file: file["annotations"][1]["answers"].pop(), f"{QUESTIONS}:questions[0]", "10 answers to question 50", "9"),
        (lambda file: file["annotations"][1].pop("answer_type"), f"{QUESTIONS}:questions[0]", "'answer_type', of type str", "None"),
        (lambda file: file["annotations"].insert(0, 7), f"{ANNOTATIONS}:annotations[0]", "an object with 'question_id'", "7"),
        (lambda file: file["questions"][0].update(question=3), f"{QUESTIONS}:questions[0]", "'question', of type str", "3"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_and_the_rest_is_read(
    tmp_path: Path, change: Callable[[dict[str, list[Any]]], object], place: str, expected: str, found: str
) -> None:
    content = _small()
    change(content)
    all_found = _read(tmp_path, content)
    assert Bad(place, expected, found) in all_found
    assert [each.input["question_id"] for each in all_found if isinstance(each, Example)][-1:] == [51]


def test_words_that_are_no_utf8_cost_their_question(tmp_path: Path) -> None:
    _read(tmp_path, _small())
    path = tmp_path / QUESTIONS
    path.write_bytes(path.read_bytes().replace(b"Who 50", b"Who \xff"))
    bad, good = vqa(tmp_path, "val")
    assert isinstance(bad, Bad)
    assert (bad.place, bad.expected) == (f"{QUESTIONS}:questions[0]", "UTF-8 in JSON")
    assert isinstance(good, Example)


def test_the_test_questions_are_a_part(tmp_path: Path) -> None:
    with pytest.raises(
        VerificationError, match=r"v2_OpenEnded_mscoco_test2015_questions\.json: expected a file"
    ) as caught:
        list(vqa(tmp_path, "test"))
    assert "--part test`" in (caught.value.hint or "")


@given(name=st.sampled_from([QUESTIONS, ANNOTATIONS]), at=st.integers(0, 700), value=st.binary(min_size=1, max_size=5))
@settings(max_examples=100)
def test_damaged_files_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, name: str, at: int, value: bytes
) -> None:
    folder = tmp_path_factory.getbasetemp()
    _read(folder, _small())
    raw = (folder / name).read_bytes()
    (folder / name).write_bytes(raw[:at] + value + raw[at + len(value) :])
    try:
        assert all(isinstance(each, Example | Bad) for each in vqa(folder, "val"))
    except DlcatError as error:
        assert error.exit_code == 5  # noqa: PT017 - or it was read
