"""Networks, one file per architecture; each is a function of the input's shape, the output's width and the parts."""

from __future__ import annotations

from dlcat.registry import Family

model = Family("model", __name__)
