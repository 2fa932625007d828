"""Fashion-MNIST: MNIST's own format and names, byte for byte."""

from __future__ import annotations

from tests.upstream.mnist import write as write
