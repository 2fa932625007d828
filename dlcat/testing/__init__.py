"""A server on loopback that goes wrong as it is told, and a proxy, to try downloaders and mirrors on: docs/testing.md."""

from __future__ import annotations

from dlcat.testing import faults
from dlcat.testing.certificate import can_sign
from dlcat.testing.content import Content
from dlcat.testing.impatient import Impatient
from dlcat.testing.proxy import Proxy, Shown
from dlcat.testing.records import BEFORE_HEAD, Answer, Fault, Incident, Request, Resource, Slice
from dlcat.testing.server import FaultServer

__all__ = [
    "BEFORE_HEAD",
    "Answer",
    "Content",
    "Fault",
    "FaultServer",
    "Impatient",
    "Incident",
    "Proxy",
    "Request",
    "Resource",
    "Shown",
    "Slice",
    "can_sign",
    "faults",
]
