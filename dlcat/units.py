"""Numbers as people read them: bytes, seconds, counts and shares; what is not known, or not finite, is a `?`."""

from __future__ import annotations

import math

UNKNOWN = "?"


def size(size_bytes: float | None) -> str:
    """Bytes in decimal units: whole below 1,000 B, one decimal below 100 (1.6 GB), whole from there (170 MB)."""
    return _scaled(size_bytes, ("B", "kB", "MB", "GB", "TB", "PB"))


def magnitude(number: float | None) -> str:
    """A large count in short, by the rule of `size`: 61.7 k, 417 k, 4.1 G."""
    return _scaled(number, ("", "k", "M", "G", "T", "P")).rstrip()


def energy(joules: float | None) -> str:
    """Joules, by the rule of `size`: 1.2 kJ."""
    return _scaled(joules, ("J", "kJ", "MJ", "GJ"))


def duration(seconds: float | None) -> str:
    """Seconds in the two largest units that matter: 25 ms, 3.2 s, 42 s, 1 min 20 s, 2 h 5 min, 3 d 4 h."""
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    if seconds < 3599.5:
        return _pair(round(seconds), 60, "min", "s")
    if seconds < 86_370:
        return _pair(round(seconds / 60), 60, "h", "min")
    return _pair(round(seconds / 3600), 24, "d", "h")


def count(number: float | None) -> str:
    """A count with thousands apart: 1,797."""
    return UNKNOWN if number is None or not math.isfinite(number) else f"{number:,.0f}"


def percent(share: float | None, decimals: int = 1) -> str:
    """A share of one as a percentage: 0.971 is 97.1 %."""
    return UNKNOWN if share is None or not math.isfinite(share) else f"{share * 100:.{decimals}f} %"


def decimal(number: float | None) -> str:
    """A loss or a learning rate to three significant digits: 0.123, 12.3, 1.20e-05; nan and inf stay visible."""
    if number is None:
        return UNKNOWN
    if not math.isfinite(number):
        return str(float(number))
    if number == 0:
        return "0"
    if not 1e-3 <= abs(number) < 1e5:
        return f"{number:.2e}"
    return f"{number:.{max(0, 2 - math.floor(math.log10(abs(number))))}f}"


def _scaled(number: float | None, units: tuple[str, ...]) -> str:
    if number is None or not math.isfinite(number):
        return UNKNOWN
    if number < 1000:
        return f"{number:.0f} {units[0]}"
    value, position = float(number), 0
    # 999.5 would round up to 1000: it belongs to the next unit.
    while value >= 999.5 and position < len(units) - 1:
        value, position = value / 1000, position + 1
    return f"{value:.{1 if value < 99.95 else 0}f} {units[position]}"


def _pair(amount: int, base: int, large: str, small: str) -> str:
    many, few = divmod(amount, base)
    return f"{many:,} {large} {few} {small}" if few else f"{many:,} {large}"
