"""Archives into a folder, trusting nothing they say: no path that leaves the folder, no links, no bombs, no lies.

containment   which names are paths below the folder
budget        how much may come out
target        the folder: files that are new, hashed as they are written
streams       what is inside gzip, bzip2, xz and zstd, in chunks
tar, zip, single, nested   one format each, and archives inside archives
archive       `unpack`, which puts them together
"""

from dlcat.fetch.unpack.archive import unpack as unpack
from dlcat.fetch.unpack.budget import Budget as Budget
from dlcat.fetch.unpack.budget import budget as budget
from dlcat.fetch.unpack.containment import contained as contained
