"""What the ways of observing a folder tree have in common."""

from typing import Protocol


class Sink(Protocol):
    """Told by the threads of a tree."""

    def changed(self, path: str, is_dir: bool) -> None:
        """An absolute path changed; of a folder: anything below it may have."""

    def missed(self) -> None:
        """Changes were lost, or the tree cannot be watched as it was: refresh it, then reconcile."""


class Tree(Protocol):
    """One root of one project that is being watched."""

    root: str

    def refresh(self) -> None:
        """Begins, or begins anew, to watch. Raises OSError when that cannot be; then close the tree."""

    def intact(self) -> bool:
        """False when only a refresh can tell what became of the root."""

    def close(self) -> None: ...
