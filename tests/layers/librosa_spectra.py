"""Writes librosa_spectra.npz, what librosa makes of a short sound: `pip install librosa==0.11.0 && python librosa_spectra.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

RATE_HERTZ = 8000
# Options of `dlcat.layers.spectra.log_mel`, and librosa's words for them.
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "speech": (
        {"bands": 40, "window_milliseconds": 25.0, "hop_milliseconds": 10.0},
        {"n_mels": 40, "n_fft": 256, "win_length": 200, "hop_length": 80},
    ),
    "htk": (
        {"bands": 32, "window_milliseconds": 32.0, "hop_milliseconds": 20.0, "scale": "htk", "area": "growing"},
        {"n_mels": 32, "n_fft": 256, "win_length": 256, "hop_length": 160, "htk": True, "norm": None},
    ),
    "limited": (
        {"bands": 20, "window_milliseconds": 64.0, "hop_milliseconds": 16.0, "padding": "none"}
        | {"lowest_hertz": 100.0, "highest_hertz": 3000.0},
        {"n_mels": 20, "n_fft": 512, "win_length": 512, "hop_length": 128, "center": False, "fmin": 100, "fmax": 3000},
    ),
    "mirrored": (
        {"bands": 24, "window_milliseconds": 30.0, "hop_milliseconds": 15.0, "points": 400, "padding": "reflect"},
        {"n_mels": 24, "n_fft": 400, "win_length": 240, "hop_length": 120, "pad_mode": "reflect"},
    ),
}
COEFFICIENTS = 13
RANGE_DECIBELS = 80.0


def sound() -> np.ndarray[Any, np.dtype[np.int16]]:
    """A quarter of a second: a rising tone with overtones over faint noise, and silence at the end."""
    time = np.arange(RATE_HERTZ // 4) / RATE_HERTZ
    phase = 2 * np.pi * (200 * time + 1200 * time**2)
    tones = sum(np.sin(number * phase) / number for number in range(1, 6))
    noise = np.random.default_rng(6).standard_normal(len(time))
    wave = np.where(time < 0.2, 0.2 * np.exp(-5 * time) * tones + 0.003 * noise, 0)
    return np.round(wave * 32768).astype(np.int16)


def main() -> None:
    import librosa

    samples = sound()
    arrays: dict[str, Any] = {"samples": samples}
    for name, (_, options) in CASES.items():
        mel = librosa.feature.melspectrogram(y=samples / np.float64(32768), sr=RATE_HERTZ, **options)
        decibels = librosa.power_to_db(mel, amin=1e-10, top_db=RANGE_DECIBELS)
        arrays[f"{name}_decibels"] = decibels
        arrays[f"{name}_mfcc"] = librosa.feature.mfcc(S=decibels, n_mfcc=COEFFICIENTS)
    floats = {name: array.astype(np.float32) for name, array in arrays.items() if name != "samples"}
    np.savez_compressed(Path(__file__).with_suffix(".npz"), samples=samples, **floats)


if __name__ == "__main__":
    main()
