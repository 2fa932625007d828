"""The templates of HTML pages, and the style that they share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

HERE = Path(__file__).resolve().parent


def library() -> tuple[Environment, Markup]:
    """The templates of pages, which escape whatever they are given, and the style that pages share."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    pages = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return pages, Markup((HERE / "report.css").read_text(encoding="utf-8"))
