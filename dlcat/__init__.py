"""A catalog of classic datasets, a downloader that can be trusted, and a lab bench for convolutional networks.

    dlcat.catalog()                       every known dataset
    dlcat.fetch("mnist")                  bring one into the cache, verified; returns its folder
    dlcat.load("mnist", split="train")    its arrays
    dlcat.train("mnist_lenet")            train a recipe; returns the run

Importing dlcat imports nothing else; each verb brings what it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlcat.api import catalog as catalog
    from dlcat.api import fetch as fetch
    from dlcat.api import load as load
    from dlcat.api import train as train

__version__ = "0.1.0"
__all__ = ["__version__", "catalog", "fetch", "load", "train"]


def __getattr__(name: str) -> Any:
    if name == "load":
        return import_module("dlcat.api").load
    if name in __all__:
        return import_module(f"dlcat.{name}")
    raise AttributeError(f"module 'dlcat' has no attribute {name!r}")
