"""Examples as a torch Dataset, usable in anybody's loop."""

from __future__ import annotations

import numpy as np
import torch
from torch.utils.data import DataLoader

from dlcat.readers import Examples
from dlcat.workspace import Workspace


def test_bytes_become_floats_between_nothing_and_one() -> None:
    inputs = np.array([0, 51, 255], np.uint8).reshape(3, 1, 1, 1)
    items = Examples(inputs, np.array([2, 0, 1]), ("a", "b", "c")).torch()
    assert [(float(image), label) for image, label in (items[number] for number in range(3))] == [
        (0.0, 2),
        (float(np.float32(0.2)), 0),
        (1.0, 1),
    ]


def test_other_numbers_stay_as_they_are() -> None:
    items = Examples(np.array([[[[-2.5]]]]), np.array([0]), ("a",)).torch()
    assert items[0][0].tolist() == [[[-2.5]]]
    assert items[0][0].dtype == torch.float32


def test_a_data_loader_takes_them_from_the_mapped_file(place: Workspace) -> None:
    examples = place.examples(place.catalog["digits"], "test")
    images, labels = next(iter(DataLoader(examples.torch(), batch_size=7)))
    assert images.shape == (7, 1, 8, 8)
    assert labels.tolist() == examples.targets[:7].tolist()
    images.zero_()  # a copy: the mapped file stays
    assert examples.inputs[:7].any()
