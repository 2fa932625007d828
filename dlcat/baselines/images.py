"""Baselines for images: classifiers that see pixels as so many numbers, whatever their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from warnings import catch_warnings, simplefilter

import numpy as np
from annotated_types import Ge, Gt

from dlcat.baselines import Fitted, baseline, has_classes
from dlcat.readers import Examples

if TYPE_CHECKING:
    from dlcat.baselines import Known

PEAK = np.float32(255)
"""Of bytes; it only keeps sums of squares small, so that float32 is exact enough."""
LONGEST_SIDE = 32
"""Pixels; of larger images, squares of pixels are averaged until they are no larger."""


def are_images(examples: Known) -> bool:
    """Whether inputs are (N, C, H, W), of one class each."""
    return isinstance(examples, Examples) and examples.inputs.ndim == 4 and has_classes(examples)


@baseline(takes=are_images)
def logistic(train: Examples, *, penalty: Annotated[float, Gt(0)] = 0.1, steps: Annotated[int, Ge(1)] = 50) -> Fitted:
    """Multinomial logistic regression on pixels (Cox 1958).

    Pixels are centred, and divided by the standard deviation of all of them. To the mean loss half of the squared weights is
    added, `penalty` times. L-BFGS takes at most so many `steps`.
    """
    from sklearn.linear_model import LogisticRegression

    known = np.unique(train.targets)
    if len(known) == 1:  # nothing to tell apart
        return Fitted("logistic", lambda examples: np.repeat(known, len(examples)))
    pixels = _pixels(train.inputs)
    mean, spread = pixels.mean(axis=0), float(pixels.std()) or 1.0
    model = LogisticRegression(C=1 / (penalty * len(pixels)), max_iter=steps)
    with catch_warnings():
        simplefilter("ignore")  # it says that it could go on
        model.fit((pixels - mean) / spread, train.targets)
    return Fitted("logistic", lambda examples: model.predict((_pixels(examples.inputs) - mean) / spread))


@baseline(takes=are_images)
def knn(train: Examples, *, neighbours: Annotated[int, Ge(1)] = 5) -> Fitted:
    """The class of most of the nearest training examples, by the distance of pixels (Cover & Hart 1967).

    Of classes that are as frequent among them the first.
    """
    rows = _pixels(train.inputs) / PEAK
    votes = np.eye(len(train.classes), dtype=np.int64)[train.targets]  # (N, classes)
    halves = np.square(rows).sum(axis=1) / 2
    count = min(neighbours, len(rows))

    def predict(examples: Examples) -> np.ndarray[Any, Any]:
        # Half of the squared distance, but for what all examples have in common. One matrix product in float32,
        # somewhat faster than scikit-learn's search (6.9 s and 8.4 for 10,000 images of MNIST).
        distances = halves - _pixels(examples.inputs) / PEAK @ rows.T  # (n, N)
        nearest = np.argpartition(distances, count - 1, axis=1)[:, :count]
        chosen: np.ndarray[Any, Any] = votes[nearest].sum(axis=1).argmax(axis=1)
        return chosen

    return Fitted("knn", predict)


def _pixels(inputs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Images (N, C, H, W) as rows of numbers (N, C·h·w), float32, no side longer than `LONGEST_SIDE`."""
    count, channels, height, width = inputs.shape
    side = -(-max(height, width) // LONGEST_SIDE)
    across, down = width // side, height // side
    if not across or not down:  # a strip
        side, across, down = 1, width, height
    whole = inputs[:, :, : down * side, : across * side].astype(np.float32)
    blocks = whole.reshape(count, channels, down, side, across, side)
    rows: np.ndarray[Any, Any] = blocks.mean(axis=(3, 5)).reshape(count, -1)
    return rows
