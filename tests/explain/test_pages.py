"""The pages of docs/explain are what the command makes, and every text fits a terminal."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any
from xml.etree import ElementTree

import pytest

from dlcat import locations
from dlcat.errors import UsageError
from dlcat.explain import EXPLAINED, explain, family, settings
from dlcat.registry import Choice
from dlcat.view import explain as view
from dlcat.view import explain_plots

PAGES = locations.PACKAGE.parent / "docs" / "explain"
ROUNDING = re.compile(r"greatest\s+difference\s+\S+\s")
"""What differs from one processor to the next."""
PATHS = re.compile(r"^([^\n]*)\n\+-.*?\n(?=\n|```)", re.MULTILINE | re.DOTALL)
"""The best rates of two ways down, their pictures, and how they ended."""


def _records(noun: str, explained: Any) -> list[dict[str, Any]]:
    return [asdict(facts) for facts in explained(noun).values()]


@pytest.mark.parametrize("noun", EXPLAINED)
def test_the_page_of_a_family_is_up_to_date(noun: str, explained: Any) -> None:
    made = view.markdown(_records(noun, explained), f"dlcat explain {noun} --markdown {noun}.md", is_whole=True)
    written = (PAGES / f"{noun}.md").read_text(encoding="utf-8")
    assert _lasting(made) == _lasting(written), f"dlcat explain {noun} --markdown docs/explain/{noun}.md makes it anew"


def _lasting(page: str) -> list[str]:
    """The words of a page that are the same everywhere.

    A descent is hundreds of steps, each from the numbers of the one before: where another processor or torch rounds the
    last bit differently, a mark may move to the next cell, a count by one, and another rate may be the best. Of ways down
    only the names and the options' names are kept.
    """
    page = ROUNDING.sub("greatest difference ", page)
    return PATHS.sub(lambda found: re.sub(r"\blr \S+", "lr", found[1]) + "\n", page).split()


def test_of_ways_down_only_names_are_compared() -> None:
    page = (PAGES / "optimizer.md").read_text(encoding="utf-8")
    for moving, changed in (
        (r"\|.*o.*\|\n", "|" + " " * 78 + "|\n"),
        (r"after \d+ gradients", "after 1 gradients"),
        (r"best of \d+ rates", "best of 3 rates"),
        (r"adadelta, lr \S+", "adadelta, lr 7"),
    ):
        moved = re.sub(moving, changed, page)
        assert moved != page
        assert _lasting(moved) == _lasting(page)
    for lasting in ("## adam\n", "smoothing 0.9", "a narrow valley", "adadelta, lr", "gradient_descent, lr"):
        assert lasting in page
        assert _lasting(page.replace(lasting, "other ")) != _lasting(page)


@pytest.mark.parametrize("noun", EXPLAINED)
def test_texts_fit_a_terminal(noun: str, explained: Any) -> None:
    for facts in _records(noun, explained):
        text = view.text(facts)
        assert max(map(len, text.splitlines())) <= 80
        assert text.startswith(f"{noun} {facts['part']['name']}")
        assert not any(line != line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize("noun", EXPLAINED)
def test_a_picture_is_drawn_as_png_and_svg(noun: str, explained: Any) -> None:
    facts = _records(noun, explained)[0]
    assert explain_plots.png(facts).startswith(b"\x89PNG")
    drawn = explain_plots.svg(facts, "one")
    assert drawn == explain_plots.svg(facts, "one")  # nothing in it tells when it was drawn
    root = ElementTree.fromstring(drawn)
    names = [element.get("id") for element in root.iter() if element.get("id")]
    assert names
    assert all(name.startswith("one-") for name in names)


def test_the_box_of_a_norm_is_coloured_where_it_reads(explained: Any) -> None:
    drawn = {name: explain_plots.svg(asdict(explained("norm")[name]), "one") for name in ("none", "layer")}
    blue = {name: text.count("fill: #2563eb; stroke: #8c959f") for name, text in drawn.items()}
    assert blue["none"] == 0 < blue["layer"]


def test_a_family_that_cannot_be_explained_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="no family named 'convs'") as refusal:
        family("convs")
    assert refusal.value.hint == "did you mean 'conv'?"


def test_settings_are_those_of_the_family() -> None:
    assert settings("conv") == {"input_shape", "channels_out", "kernel", "stride"}
    assert settings("optimizer") == frozenset()
    assert explain("norm", Choice(name="none"), input_shape=(3, 4)).part.name == "none"


@pytest.mark.parametrize("noun", EXPLAINED)
def test_what_a_member_refuses_is_told_as_a_fault_of_what_was_asked(noun: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def stranger(*_: Any) -> Any:
        """A stranger's."""
        raise ValueError("not with these options")

    list(family(noun))
    monkeypatch.setitem(family(noun)._members, "stranger", stranger)
    with pytest.raises(UsageError, match=f"{noun} 'stranger': not with these options") as refusal:
        explain(noun, Choice(name="stranger"))
    assert refusal.value.hint
