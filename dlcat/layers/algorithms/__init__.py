"""How a convolution is computed, a file per algorithm; all give the same numbers up to rounding, in different times.

A member takes one of torch's convolutions of one or two dimensions and gives a module in its place, with the same
parameters, which computes by the algorithm; what cannot be computed that way is a ValueError that says why.
"""

from __future__ import annotations

from dlcat.registry import Family

algorithm = Family("algorithm", __name__)
