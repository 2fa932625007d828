"""A recipe: the YAML file that pairs a dataset with a model and says how it is trained.

Inheritance (`extends: other.yaml`), overrides (`--set optimizer.lr=0.05`) and shorthand (`norm: batch`) are resolved here,
and every fault is reported at once with the file and line, or the override, that it came from.
"""

from dlcat.recipe.finding import find, listed, question
from dlcat.recipe.reading import json_schema, load, read
from dlcat.recipe.records import (
    MEASURED,
    PARTS,
    Layout,
    Model,
    Paper,
    Precision,
    ProgressiveResize,
    Recipe,
    Split,
    Study,
    Target,
    Train,
)

__all__ = [
    "MEASURED",
    "PARTS",
    "Layout",
    "Model",
    "Paper",
    "Precision",
    "ProgressiveResize",
    "Recipe",
    "Split",
    "Study",
    "Target",
    "Train",
    "find",
    "json_schema",
    "listed",
    "load",
    "question",
    "read",
]
