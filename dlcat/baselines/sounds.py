"""A baseline for sounds: what their spectrum is like on the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from warnings import catch_warnings, simplefilter

import numpy as np
from annotated_types import Ge, Gt

from dlcat.baselines import Fitted, baseline, has_classes
from dlcat.readers.hearing import HeardExamples
from dlcat.readers.waveforms import FULL_SCALE

if TYPE_CHECKING:
    from dlcat.baselines import Known

LEAST_SECONDS = 0.1
"""Shorter sounds are followed by silence up to here: a spectrum needs a few frames."""


def are_sounds(examples: Known) -> bool:
    """Whether inputs are waveforms, of one class each."""
    return isinstance(examples, HeardExamples) and has_classes(examples)


@baseline(takes=are_sounds)
def cepstrum(
    train: HeardExamples,
    *,
    coefficients: Annotated[int, Ge(2)] = 20,
    penalty: Annotated[float, Gt(0)] = 1.0,
) -> Fitted:
    """Mean and deviation over time of the first cepstral coefficients, and logistic regression (Davis & Mermelstein 1980).

    Each is divided by its deviation over the training sounds. Half of the squared weights is added to the loss, `penalty` times.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    known = np.unique(train.targets)
    if len(known) == 1:  # nothing to tell apart
        return Fitted("cepstrum", lambda examples: np.repeat(known, len(examples)))
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1 / penalty, max_iter=1000))
    with catch_warnings():
        simplefilter("ignore")  # of classes with few examples it says so
        model.fit(_summaries(train, coefficients), train.targets)
    return Fitted("cepstrum", lambda examples: model.predict(_summaries(examples, coefficients)))


def _summaries(examples: HeardExamples, coefficients: int) -> np.ndarray[Any, Any]:
    """(N, 2 x coefficients) float64."""
    import torch

    from dlcat.layers.spectra import mfcc

    features = mfcc(examples.rate_hertz, coefficients=coefficients)
    least = round(LEAST_SECONDS * examples.rate_hertz)
    rows = []
    for waveform in examples.waveforms:
        sound = np.zeros(max(least, len(waveform)), np.float32)
        sound[: len(waveform)] = waveform / FULL_SCALE
        with torch.inference_mode():
            spread, mean = torch.std_mean(features(torch.from_numpy(sound)[None, None])[0, 0].double(), dim=1)
        rows.append(torch.cat([mean, spread]).numpy())
    return np.stack(rows)
