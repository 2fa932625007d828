"""Groups of runs drawn: what the table says, which figures a page has, and that nothing on it is taken for markup."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from dlcat.view.compare import compared, page


def _figures(content: str) -> list[str]:
    return [part.partition("</h3>")[0] for part in content.split('<figure class="panel"><h3>')[1:]]


def test_the_table_has_means_papers_and_differences(fabricate: Any) -> None:
    told = fabricate.study()
    base = told["groups"][0]["changes"]
    told["groups"][3] |= {
        "paper": 34.7,
        "difference": {"mean": 0.05, "low": 0.01, "high": 0.09, "pairs": 2, "to": base},
    }
    told["groups"][4] |= {"value": None, "trials": [], "seconds": None, "gradient_passes": None, "parameters": None}
    told["groups"][4] |= {"macs": None, "failures": [{"seed": 0, "fold": None, "why": "the loss is nan"}]}
    head, first, *_, fourth, failed, _, note = compared(told).splitlines()
    assert head.split("  ")[0] == "what differs"
    assert "test error, %" in head
    assert first.split() == ["norm=batch,", "size=2", "2", "25.00", "±", "2.00", "7.0", "s", "1.0", "k", "5.0", "k"]
    assert "34.7" in fourth
    assert "+5.00 ± 4.00" in fourth
    assert "no end" in failed
    assert "0 of 1" in failed
    assert "difference to norm=batch, the rest alike" in note


def test_a_page_draws_along_the_axis_of_numbers_and_escapes_what_it_is_told(fabricate: Any, tmp_path: Path) -> None:
    told = fabricate.study(paper="Wu & He")
    told["groups"][1]["paper"] = 23.6
    content = page(told, tmp_path / "page.html", recipe="dataset: <digits>\n", version="1")
    HTMLParser().feed(content)
    assert _figures(content) == [
        "test error by size",
        "error by size, in the paper",
        "test error of each run",
        "validation error per epoch",
        "validation loss per epoch",
    ]
    assert "&lt;group&gt;" in content
    assert "<group>" not in content
    assert "Is 1 &lt; 2?" in content
    assert "a%20b/r1/report.html" in content


def test_what_costs_differ_is_drawn_against_the_metric(fabricate: Any, tmp_path: Path) -> None:
    told = fabricate.study(axes={"model.conv": ["a", "b"]})
    told["groups"] = [
        fabricate.group({"model.conv": name}, 0.5, macs=macs, seconds={"mean": seconds, "std": None})
        for name, macs, seconds in (("a", 10**6, 3.0), ("b", 2 * 10**7, 3.9))
    ]
    titles = _figures(page(told, tmp_path / "page.html", version="1"))
    assert titles[:3] == ["test error of each run", "test error against MACs", "test error against seconds"]


def test_where_all_trainings_failed_the_page_says_why(fabricate: Any, tmp_path: Path) -> None:
    none = {"value": None, "trials": [], "seconds": None, "gradient_passes": None, "parameters": None, "macs": None}
    failures = [{"seed": 0, "fold": 2, "why": "the loss is nan"}]
    group = fabricate.group({"lr": "9"}, 0.1, failures=failures, curves={"error": [], "loss": []})
    told = fabricate.study(groups=[group | none])
    content = page(told, tmp_path / "page.html", version="1")
    assert _figures(content) == []
    assert "lr=9, seed 0 fold 2: the loss is nan" in content


def test_one_tuned_axis_is_drawn_even_of_two_values_and_named(fabricate: Any, tmp_path: Path) -> None:
    told = fabricate.study(axes={"optimizer": ["sgd"], "optimizer.lr": ["0.1", "1"]}, tuned="optimizer.lr")
    told["groups"] = [
        fabricate.group({"optimizer": "sgd", "optimizer.lr": rate}, 0.5, chosen=rate == "1") for rate in ("0.1", "1")
    ]
    content = page(told, tmp_path / "page.html", version="1")
    assert _figures(content)[0] == "test error by lr"
    assert content.count('<tr class="dim">') == 1
    assert "lr chosen on the validation split" in content
