"""No baseline, or the best of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dlcat.baselines import Fitted, baseline
from dlcat.readers.joining import taken

if TYPE_CHECKING:
    from dlcat.baselines import Known

JUDGED_BY = 10
"""Every tenth example judges."""


@baseline
def none(train: Known) -> Fitted | None:  # noqa: ARG001 - every member is handed them
    """No baseline: the network stands alone."""
    return None


@baseline
def auto(train: Known) -> Fitted | None:
    """Of all baselines for such examples the one that does best on every tenth of them, after learning from the others.

    Their options are as by default. The best one then learns from all. None where there is none for such examples.
    """
    names = [name for name in sorted(baseline) if _takes(name, train)]
    if len(names) < 2:
        return baseline[names[0]](train) if names else None
    judges = np.arange(len(train)) % JUDGED_BY == JUDGED_BY - 1
    learned, judging = taken(train, np.flatnonzero(~judges)), taken(train, np.flatnonzero(judges))
    shares = {name: baseline[name](learned).accuracy(judging) for name in names}
    best: Fitted = baseline[max(names, key=shares.__getitem__)](train)
    return best


def _takes(name: str, train: Known) -> bool:
    takes = baseline.traits(name).takes
    return takes is not None and takes(train)
