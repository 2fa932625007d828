"""Short sounds for tiny datasets: a tone for each class, in noise, so that a network can learn which."""

from __future__ import annotations

from pathlib import Path

import numpy as np

LOWEST_HERTZ = 250.0


def write(
    path: Path, draw: np.random.Generator, *, tone: int, rate_hertz: int, channels: int = 1, subtype: str | None = None
) -> None:
    """A sound of 0.2 to 0.3 seconds in the format that its ending names.

    Args:
        path: of the file; its folder is made.
        draw: of its length, phase and noise.
        tone: the number of its class; each is a third of an octave above the one before, and they come round after nine.
        rate_hertz: samples per second.
        channels: they differ by their noise.
        subtype: as soundfile names it; None: 16 bits, or what the format has.
    """
    import soundfile

    seconds = draw.uniform(0.2, 0.3)
    times = np.arange(round(seconds * rate_hertz)) / rate_hertz
    hertz = LOWEST_HERTZ * 2 ** (tone % 9 / 3)
    sound = 0.4 * np.sin(2 * np.pi * hertz * times + draw.uniform(0, 2 * np.pi))
    noise = 0.02 * draw.standard_normal((len(times), channels))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound[:, None] + noise, rate_hertz, subtype=subtype)
