"""Whose a temporary file or folder is, told by its name, so that nobody takes or sweeps away what another works on.

An owner is written PID-START-NONCE@HOST. No lock is involved: taking over what a dead process left is one rename.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from functools import cache
from pathlib import Path
from time import time

ABANDONED_SECONDS = 3600
"""Untouched for this long, what was made on another machine, whose processes cannot be asked, has no owner."""

_LIVE: set[str] = set()
"""The owners that this process has made and not given up."""
_OWNER = re.compile(r"(?P<pid>\d{1,10})-(?P<started>\d{1,20})-[0-9a-f]{8}@(?P<host>[\w-]+)", re.ASCII)


def new_owner() -> str:
    """A name that no other process or thread has, alive until `give_up`."""
    import secrets  # 4 ms, needed only where something is written

    owner = f"{os.getpid()}-{_started(os.getpid())}-{secrets.token_hex(4)}@{_host()}"
    _LIVE.add(owner)
    return owner


@cache
def process_owner() -> str:
    """This process's own name, alive as long as it is."""
    return new_owner()


def give_up(owner: str) -> None:
    """Let others take over what bears this name."""
    _LIVE.discard(owner)


def is_owner(text: str) -> bool:
    """Whether the text is an owner's name."""
    return _OWNER.fullmatch(text) is not None


def is_orphan(owner: str, touched: Path) -> bool:
    """Whether nobody works any more on what bears the owner's name; `touched` is what its work changes."""
    found = _OWNER.fullmatch(owner)
    assert found is not None
    if found["host"] == _host() and os.name == "posix":
        if (int(found["pid"]), found["started"]) == (os.getpid(), _started(os.getpid())):
            return owner not in _LIVE
        return not _is_alive(int(found["pid"]), found["started"])
    with suppress(OSError):
        return time() - touched.stat().st_mtime > ABANDONED_SECONDS
    return False


def _is_alive(pid: int, started: str) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return _started(pid) == started


def _started(pid: int) -> str:
    """When a process began, in ticks since the machine did, so that a number used again misleads nobody; '0': unknown."""
    with suppress(OSError, IndexError):
        # Field 22; the second one is a name in parentheses that may hold anything.
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19].decode()
    return "0"


def _host() -> str:
    import platform

    return re.sub(r"[^\w-]", "", platform.node(), flags=re.ASCII) or "here"
