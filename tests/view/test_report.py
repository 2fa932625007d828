"""A report is one page that needs nothing else, tells everything, and runs nothing that came with the data."""

from __future__ import annotations

import base64
import math
import re
from html.parser import HTMLParser
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from dlcat.errors import InvalidError
from dlcat.view.report import render, wilson

if TYPE_CHECKING:
    from pathlib import Path

EVIL = "<script>alert('x')</script>\"'><img src=x onerror=alert(1)>"
INLINE = {"b", "span", "strong", "code", "a"}
VOID = {"meta", "link", "img", "br", "hr", "input"}
SECTIONS = [
    "learning", "metrics", "confusion", "classes", "mistakes", "recipe", "repeat", "data", "environment",
]  # fmt: skip


class Page(HTMLParser):
    """The elements and the text of a page; fails where tags do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._part(tag)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        self._part(tag)

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("style", "script"):
            self.words.append(data)

    def _part(self, tag: str) -> None:
        if tag not in INLINE:
            self.words.append(" ")

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]

    @property
    def sections(self) -> list[str]:
        return [str(attributes["aria-labelledby"]) for attributes in self.all("section")]


@pytest.fixture(scope="module")
def page(fabricate: Any, tmp_path_factory: pytest.TempPathFactory) -> Page:
    return Page(render(fabricate.finished(tmp_path_factory.mktemp("report") / "run")))


def test_a_finished_run_has_every_section(page: Page) -> None:
    assert page.sections == SECTIONS


@pytest.mark.parametrize(
    "told",
    [
        "digits_quickstart",
        "How far does a small network get on eight by eight pixels?",
        "90.22 %",
        "86.71 to 92.89 % with 95 % confidence, from 358 test examples",
        "Optical recognition of handwritten digits",
        "22 November 2026, 12:00 UTC",
        "38 s 12 epochs",
        "61,706",
        "417 k multiply-adds",
        "4,300 examples/s",
        "this CPU has no bf16 instructions",
        "convolutions are faster so",
        "The test set was touched once, after the last epoch",
        "1,257 train, 180 validation, 358 test. Validation: a tenth of train, stratified by class, seed 0.",
        "model: {name: lenet, conv: standard, norm: batch}",
        "dlcat train digits_quickstart --set train.seed=0",
        "CC-BY-4.0",
        "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22",
        "2.13.0+cpu",
        "1f0c2d9e5b7a, with uncommitted changes",
        "dlcat.lock, sha256 4be1c0ffee: the data are those that are locked",
        "Written by dlcat 0.1.0",
    ],
)
def test_a_report_tells(page: Page, told: str) -> None:
    assert told in page.text


def test_nothing_is_loaded_from_elsewhere(page: Page) -> None:
    for attributes in page.all("img", "image", "script", "link", "use", "iframe", "source"):
        for name in ("src", "href", "xlink:href", "srcset"):
            assert (attributes.get(name) or "data:").startswith(("data:", "#"))
    policy = next(each["content"] for each in page.all("meta") if each.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_the_styles_load_nothing_from_elsewhere(fabricate: Any, tmp_path: Path) -> None:
    text = render(fabricate.finished(tmp_path / "run"))
    assert "@import" not in text
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", text))


def test_the_page_can_be_read_without_seeing_it(page: Page) -> None:
    assert all(each.get("alt") for each in page.all("img"))
    assert all(each.get("aria-label") for each in page.all("svg"))
    assert all(each.get("scope") in ("row", "col") for each in page.all("th"))
    assert page.all("html")[0]["lang"] == "en"
    ids = [str(attributes["id"]) for _, attributes in page.elements if attributes.get("id")]
    assert len(ids) == len(set(ids))
    assert set(page.sections) <= set(ids)


def test_mistakes_are_shown_as_the_pictures_they_are(fabricate: Any, tmp_path: Path) -> None:
    stored = fabricate.errors(3, (3, 16, 12))
    run = fabricate.run_folder(tmp_path / "run", outcome=fabricate.result(), mistakes=stored)
    page = Page(render(run))
    shown = page.all("img")
    assert len(shown) == 3
    assert (shown[0]["width"], shown[0]["height"]) == ("12", "16")
    image = Image.open(BytesIO(base64.b64decode(str(shown[0]["src"]).partition(",")[2])))
    assert np.array_equal(np.asarray(image), stored["inputs"][0].transpose(1, 2, 0))
    caption = f"is {stored['targets'][0]}, said {stored['predictions'][0]} ({stored['confidences'][0] * 100:.0f} %)"
    assert caption in page.text


def test_at_most_24_mistakes_are_shown_and_large_ones_scaled_down(fabricate: Any, tmp_path: Path) -> None:
    run = fabricate.run_folder(tmp_path / "a", outcome=fabricate.result(), mistakes=fabricate.errors(30))
    assert len(Page(render(run)).all("img")) == 24
    run = fabricate.run_folder(tmp_path / "b", outcome=fabricate.result(), mistakes=fabricate.errors(1, (3, 640, 320)))
    assert [(each["width"], each["height"]) for each in Page(render(run)).all("img")] == [("80", "160")]


@pytest.mark.parametrize("shape", [(1, 8000), (100,), (5, 8, 8)])
def test_inputs_that_are_no_pictures_have_no_pictures(fabricate: Any, tmp_path: Path, shape: tuple[int, ...]) -> None:
    run = fabricate.run_folder(tmp_path / "run", outcome=fabricate.result(), mistakes=fabricate.errors(2, shape))
    assert "mistakes" not in Page(render(run)).sections


def test_damaged_mistakes_are_an_error_that_names_the_file(fabricate: Any, tmp_path: Path) -> None:
    run = fabricate.finished(tmp_path / "run")
    run.errors_path.write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(InvalidError, match=r"errors\.npz"):
        render(run)


def test_more_than_twenty_classes_have_only_the_picture(fabricate: Any, tmp_path: Path) -> None:
    names = [f"kind {number}" for number in range(21)]
    run = fabricate.finished(tmp_path / "run", names)
    text = render(run)
    matrix = text[text.index('aria-label="Confusion') : text.index("<figcaption>Rows")]
    assert "kind" not in matrix
    assert len([each for each in Page(text).all("th") if "data-value" in each]) == 21


def test_what_comes_from_data_is_text_everywhere(fabricate: Any, tmp_path: Path) -> None:
    names = [EVIL, *fabricate.DIGITS[1:]]
    outcome = fabricate.result(names, recipe=EVIL, question=EVIL, command=EVIL, device=EVIL, finished=EVIL)
    outcome["dataset"] = dict.fromkeys(outcome["dataset"], EVIL)
    outcome["reasons"] = {"precision": EVIL, "layout": EVIL}
    outcome["split"]["how"] = EVIL
    run = fabricate.run_folder(tmp_path / "run", outcome=outcome, mistakes=fabricate.errors(), recipe=EVIL)
    run.write_json(
        "environment.json",
        {"dlcat": EVIL, EVIL: EVIL, "git": {"commit": EVIL}, "data": [{"file": EVIL, "sha256": EVIL}]},
    )
    text = render(run)
    page = Page(text)
    assert len(page.all("script")) == 1
    assert not [each for _, each in page.elements if "onerror" in each]
    assert EVIL not in text
    assert page.text.count("alert('x')") > 20


def test_a_homepage_that_is_no_web_address_is_no_link(fabricate: Any, tmp_path: Path) -> None:
    outcome = fabricate.result()
    outcome["dataset"]["homepage"] = "javascript:alert(1)"
    page = Page(render(fabricate.run_folder(tmp_path / "run", outcome=outcome)))
    assert not page.all("a")
    assert "javascript:alert(1)" in page.text


def test_an_unfinished_run_shows_how_far_it_came(fabricate: Any, tmp_path: Path) -> None:
    run = fabricate.run_folder(tmp_path / "run-7", epochs=[fabricate.epoch(1), fabricate.epoch(2)])
    page = Page(render(run))
    assert page.sections == ["learning", "recipe", "data", "environment"]
    assert "did not finish" in page.text
    assert "epoch 2 of 12" in page.text
    assert "run-7" in page.text
    assert "How far does a small network get" in page.text
    assert "last validation accuracy 72.74 %" in page.text


def test_a_diverged_run_says_in_which_epoch(fabricate: Any, tmp_path: Path) -> None:
    last = fabricate.epoch(2, train={"loss": math.nan, "accuracy": 0.1}, validation=None)
    page = Page(render(fabricate.run_folder(tmp_path / "run", epochs=[fabricate.epoch(1), last])))
    assert "This run diverged. The loss left the finite numbers in epoch 2" in page.text
    assert len(page.all("svg")) == 3


def test_a_run_killed_before_its_first_epoch_has_a_report(fabricate: Any, tmp_path: Path) -> None:
    run = fabricate.run_folder(tmp_path / "run", epochs=[])
    (run.path / "environment.json").unlink()
    page = Page(render(run))
    assert page.sections == ["recipe"]
    assert "Not one epoch ended" in page.text


def test_where_a_run_was_taken_up_again_is_told(fabricate: Any, tmp_path: Path) -> None:
    run = fabricate.run_folder(tmp_path / "run", epochs=[fabricate.epoch(1)])
    pause = {"when": "2026-11-23T04:05:06+00:00", "epochs": 1, "steps": 17, "remarks": ["torch was <b>, is 2.14"]}
    run.write_json("environment.json", {**run.environment(), "resumed": [pause]})
    page = Page(render(run))
    assert "taken up again" in page.text
    assert "after 1 epochs and 17 steps torch was <b>, is 2.14" in page.text


def test_a_run_without_validation_is_shown(fabricate: Any, tmp_path: Path) -> None:
    epochs = [fabricate.epoch(number, validation=None) for number in (1, 2)]
    outcome = fabricate.result()
    outcome["metrics"]["validation"] = None
    outcome["split"]["validation"] = 0
    page = Page(render(fabricate.run_folder(tmp_path / "run", epochs=epochs, outcome=outcome)))
    assert "accuracy - 90.22 %" in page.text
    assert "0 validation" not in page.text


def test_a_baseline_stands_beside_the_score(fabricate: Any, tmp_path: Path) -> None:
    told = {"name": "knn", "about": "The nearest decide.", "accuracy": 0.9512, "examples": 1257, "seconds": 0.3}
    page = Page(render(fabricate.run_folder(tmp_path / "a", outcome=fabricate.result(baseline=told))))
    assert "Without a network 95.12 % by knn, from 1,257 examples in 0.3 s: the nearest decide." in page.text
    for nothing in ({}, {"baseline": None}):
        page = Page(render(fabricate.run_folder(tmp_path / "b", outcome=fabricate.result(**nothing))))
        assert "Without a network" not in page.text


def test_what_the_machine_told_of_time_memory_and_energy_is_told(fabricate: Any, tmp_path: Path) -> None:
    epochs = [fabricate.epoch(number) for number in range(1, 11)]  # 32 s of steps
    told = {"seconds": 40.0, "backward_macs": 583_480, "peak_bytes": {"process": 2**30}, "joules": 1200.0}
    page = Page(render(fabricate.run_folder(tmp_path / "a", epochs=epochs, outcome=fabricate.result(**told))))
    assert "beside the steps 8.0 s 20.0 %: validation, keeping weights" in page.text
    assert "4,300 examples/s 4.3 G multiply-adds/s, forward and backward" in page.text
    assert "most memory 1.1 GB of main memory since the process began" in page.text
    assert "energy 1.2 kJ 30.0 W on average; all that ran on the processor counts" in page.text
    told = {"peak_bytes": {"process": 2**30, "device": 2**31}, "joules": None}
    page = Page(render(fabricate.run_folder(tmp_path / "b", epochs=epochs, outcome=fabricate.result(**told))))
    assert "most memory 2.1 GB of the GPU's 1.1 GB of main memory" in page.text
    assert "energy" not in page.text


def test_speed_over_epochs_is_drawn_where_there_are_several(fabricate: Any, tmp_path: Path) -> None:
    page = Page(render(fabricate.run_folder(tmp_path / "a", epochs=[fabricate.epoch(1), fabricate.epoch(2)])))
    assert "examples per second, by epoch" in page.text
    page = Page(render(fabricate.run_folder(tmp_path / "b", epochs=[fabricate.epoch(1)])))
    assert "examples per second, by epoch" not in page.text


def _filtered(fabricate: Any, folder: Path, weights: np.ndarray) -> Any:
    run = fabricate.run_folder(folder, outcome=fabricate.result(filters="stem.0"))
    save_file({"stem.0.weight": weights, "other": np.zeros(3, np.float32)}, run.weights_path)
    return run


def test_filters_are_shown_as_pictures(fabricate: Any, tmp_path: Path) -> None:
    weights = np.zeros((18, 3, 5, 5), np.float32)
    weights[0, 0, 0, 0] = 2.0  # red, as far as it goes
    weights[1, :, 4, 4] = -0.5  # black, however small the weights are
    page = Page(render(_filtered(fabricate, tmp_path / "run", weights)))
    assert "inside" in page.sections
    assert "All 18 filters of the first layer (stem.0, 5 x 5)" in page.text
    (shown,) = page.all("img")
    pixels = np.asarray(Image.open(BytesIO(base64.b64decode(str(shown["src"]).partition(",")[2]))))
    assert pixels.shape == (2 * 6 - 1, 16 * 6 - 1, 4)
    assert pixels[0, 0].tolist() == [255, 128, 128, 255]
    assert pixels[4, 6 + 4].tolist() == [0, 0, 0, 255]
    assert pixels[5, 0, 3] == pixels[0, 5, 3] == 0


def test_of_many_filters_the_first_are_shown(fabricate: Any, tmp_path: Path) -> None:
    page = Page(render(_filtered(fabricate, tmp_path / "run", np.ones((96, 1, 11, 11), np.float32))))
    assert "64 of the 96 filters" in page.text


def test_weights_that_cannot_be_read_are_an_error_that_names_the_file(fabricate: Any, tmp_path: Path) -> None:
    run = _filtered(fabricate, tmp_path / "run", np.ones((1, 1, 3, 3), np.float32))
    run.weights_path.write_bytes(b"cut")
    with pytest.raises(InvalidError, match=r"weights\.safetensors"):
        render(run)


def test_what_norms_see_is_drawn(fabricate: Any, tmp_path: Path) -> None:
    moments = {"mean": 0.5, "std": 1.0}
    told = [{"layer": EVIL, "given": moments, "gives": moments}, {"layer": "b", "given": moments, "gives": moments}]
    text = render(fabricate.run_folder(tmp_path / "run", outcome=fabricate.result(norms=told)))
    assert "Mean and standard deviation of what 2 norms are given and give." in text
    assert EVIL not in text


def test_a_task_without_accuracy_is_headed_by_what_it_measures(fabricate: Any, tmp_path: Path) -> None:
    outcome = fabricate.result(metrics={"validation": None, "test": {"perplexity": 31.4159}})
    page = Page(render(fabricate.run_folder(tmp_path / "run", outcome=outcome)))
    assert "test perplexity 31.4" in page.text


@pytest.mark.parametrize(
    "changes", [{"macs": None}, {"learning_rates": []}, {"split": None}, {"reasons": None}, {"classes": []}]
)
def test_a_fact_that_is_missing_is_left_out(fabricate: Any, tmp_path: Path, changes: dict[str, Any]) -> None:
    page = Page(render(fabricate.run_folder(tmp_path / "run", outcome=fabricate.result() | changes)))
    assert "90.22" in page.text
    assert "None" not in page.text


def test_the_same_folder_gives_the_same_page(fabricate: Any, tmp_path: Path) -> None:
    run = fabricate.finished(tmp_path / "run")
    assert render(run) == render(run)


def test_the_most_frequent_mistakes_come_first(fabricate: Any, tmp_path: Path) -> None:
    outcome = fabricate.result(["cat", "dog", "emu"])
    outcome["metrics"]["test"]["confusion"] = [[8, 2, 0], [0, 5, 5], [1, 0, 9]]
    page = Page(render(fabricate.run_folder(tmp_path / "run", outcome=outcome)))
    assert "dog emu 5 50.0 % cat dog 2 20.0 % emu cat 1 10.0 %" in page.text


@pytest.mark.parametrize(("share", "number"), [(0.0, 10), (1.0, 10), (0.5, 1), (0.97, 10_000)])
def test_a_confidence_interval_holds_the_share_and_stays_between_none_and_all(share: float, number: int) -> None:
    low, high = wilson(share, number)
    assert -1e-12 <= low <= share + 1e-12
    assert share - 1e-12 <= high <= 1 + 1e-12


def test_a_confidence_interval_is_wilsons() -> None:
    # By hand: 9 of 10, z = 1.96 gives 0.596 to 0.982.
    assert wilson(0.9, 10) == pytest.approx((0.5958, 0.9821), abs=1e-4)


def test_text_in_the_script_cannot_end_it() -> None:
    from dlcat.view.templates import HERE

    assert "</" not in (HERE / "report.js").read_text(encoding="utf-8")
