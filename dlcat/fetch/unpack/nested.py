"""Archives inside archives: which members are unpacked in their turn, and where to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Nesting:
    """Members with the ending are archives, one level deep: each becomes a folder of its name."""

    ending: str | None
    """'tar': n01440764.tar becomes n01440764/. None: no member is unpacked."""
    folder: str = ""
    """Where the members of the archive at hand go, if it lies in another one."""

    def is_archive(self, path: str) -> bool:
        """Whether the member is to be unpacked in its turn."""
        if self.ending is None or not path.endswith(f".{self.ending}"):
            return False
        return not self._folder_of(path).endswith("/") and path != f".{self.ending}"

    def leads_to(self, path: str, wanted: frozenset[str]) -> bool:
        """Whether one of the wanted paths is inside the archive that this member is."""
        start = f"{self._folder_of(path)}/"
        return self.is_archive(path) and any(each.startswith(start) for each in wanted)

    def inside(self, path: str) -> Nesting:
        """For the archive at `path`; archives in it stay as they are."""
        return Nesting(None, self._folder_of(path))

    def moved(self, path: str, *, is_folder: bool) -> str:
        """Where a member goes. What already lies in a folder of the archive's name is not put into another one.

        >>> [Nesting(None, "masks/val").moved(path, is_folder=False) for path in ("1.png", "val/1.png")]
        ['masks/val/1.png', 'masks/val/1.png']
        """
        own = f"{self.folder.rpartition('/')[2]}/"
        return f"{self.folder}/{(f'{path}/' if is_folder else path).removeprefix(own)}"

    def _folder_of(self, path: str) -> str:
        return path.removesuffix(f".{self.ending}")
