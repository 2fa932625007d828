"""VQA v2: JSON files of questions and of answers, apart; of the test split questions only. The pictures are COCO's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.upstream import Written

PICTURES = {"train": "train2014", "val": "val2014", "test": "test2015"}
QUESTIONS = ["Is the dog's tail up?", 'What does the sign say: "STOP"?', "How many cafés — or bars — are there?"]
ABOUT = {"info": {"version": "2.0", "year": 2017}, "license": {"name": "CC BY 4.0"}, "data_type": "mscoco"}
COUNT = 12


def write(folder: Path, seed: int) -> dict[str, list[Written]]:
    """Five files, in the root."""
    draw = np.random.default_rng(seed)
    return {split: _split(folder, split, pictures, draw) for split, pictures in PICTURES.items()}


def _split(folder: Path, split: str, pictures: str, draw: np.random.Generator) -> list[Written]:
    images = np.sort(draw.choice(500_000, COUNT // 3, replace=False)).tolist()
    questions = [
        {
            "image_id": images[at // 3],
            "question": QUESTIONS[int(draw.integers(3))],
            "question_id": images[at // 3] * 1000 + at % 3,
        }
        for at in range(COUNT)
    ]
    about = ABOUT | {"task_type": "Open-Ended", "data_subtype": pictures}
    path = folder / f"v2_OpenEnded_mscoco_{pictures}_questions.json"
    path.write_text(json.dumps(about | {"questions": questions}))
    if split == "test":
        return [_written(pictures, question, {}) for question in questions]
    annotations = [_annotation(question, draw) for question in questions]
    path = folder / f"v2_mscoco_{pictures}_annotations.json"
    mixed = [annotations[at] for at in draw.permutation(COUNT)]
    path.write_text(json.dumps(ABOUT | {"data_subtype": pictures, "annotations": mixed}, ensure_ascii=False))
    return [_written(pictures, *each) for each in zip(questions, annotations, strict=True)]


def _annotation(question: dict[str, Any], draw: np.random.Generator) -> dict[str, Any]:
    words = [("yes", "no", "crème brûlée", "2")[int(at)] for at in draw.integers(0, 4, 10)]
    answers = [
        {"answer": word, "answer_confidence": "maybe", "answer_id": number} for number, word in enumerate(words, 1)
    ]
    return {
        "question_type": "is the",
        "multiple_choice_answer": max(words, key=words.count),
        "answers": answers,
        "image_id": question["image_id"],
        "answer_type": "yes/no",
        "question_id": question["question_id"],
    }


def _written(pictures: str, question: dict[str, Any], said: dict[str, Any]) -> Written:
    picture = f"{pictures}/COCO_{pictures}_{question['image_id']:012d}.jpg"
    record = {"question_id": question["question_id"], "question": question["question"], "picture": picture}
    if said:
        record |= {"answers": [each["answer"] for each in said["answers"]], "answer": said["multiple_choice_answer"]}
        record |= {name: said[name] for name in ("question_type", "answer_type")}
    return Written(record, None, picture)
