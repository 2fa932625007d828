"""Print the shell commands of one marked block of the README, so that CI runs what the README says.

A block is a fenced `sh` code block that follows the line `<!-- NAME -->`.
"""

import re
import sys
from pathlib import Path


def block(name: str) -> str:
    text = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- {re.escape(name)} -->\s*```sh\n(.*?)```", text, re.DOTALL)
    if not found:
        sys.exit(f"README.md has no block named {name!r}")
    return found[1]


if __name__ == "__main__":
    print(block(sys.argv[1]), end="")
