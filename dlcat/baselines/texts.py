"""A baseline for texts: which words they have, whatever their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from warnings import catch_warnings, simplefilter

import numpy as np
from annotated_types import Ge, Gt

from dlcat.baselines import Fitted, baseline, has_classes
from dlcat.readers import Examples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dlcat.baselines import Known


def are_texts(examples: Known) -> bool:
    """Whether inputs were made from texts, of one class each."""
    return isinstance(examples, Examples) and examples.texts is not None and has_classes(examples)


@baseline(takes=are_texts)
def tfidf(
    train: Examples,
    *,
    penalty: Annotated[float, Gt(0)] = 1.0,
    least: Annotated[int, Ge(1)] = 2,
) -> Fitted:
    """Words weighted by how rare they are, and a linear support vector machine (Joachims 1998).

    Words of two letters and more, in small letters, that at least so many texts have (`least`); each counts 1 + the logarithm
    of how often the text has it, times that of how few texts do. Half of the squared weights is added to the squared hinge
    loss, `penalty` times.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVC

    known = np.unique(train.targets)
    words = TfidfVectorizer(sublinear_tf=True, min_df=min(least, len(train)))
    weighted = words.fit_transform(_texts(train))
    if len(known) == 1:  # nothing to tell apart
        return Fitted("tfidf", lambda examples: np.repeat(known, len(examples)))
    with catch_warnings():
        simplefilter("ignore")  # of classes with few examples it says so
        model = LinearSVC(C=1 / penalty, random_state=0).fit(weighted, train.targets)
    return Fitted("tfidf", lambda examples: model.predict(words.transform(_texts(examples))))


def _texts(examples: Examples) -> Iterator[str]:
    assert examples.texts is not None
    return (text.tobytes().decode("utf-8", "replace") for text in examples.texts)
