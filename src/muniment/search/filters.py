"""Which files may answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from muniment.errors import InvalidValue
from muniment.languages import LANGUAGES, Kind, kind_of, language_of
from muniment.lexical import glob_matcher, glob_patterns

MAX_GLOBS: Final = 20


@dataclass(frozen=True, slots=True)
class Filters:
    """``path_glob``: one glob or several, of which one must match; those that begin with '!' must not match."""

    path_glob: str | Sequence[str] | None = None
    language: str | None = None
    kind: str | None = None

    def __bool__(self) -> bool:
        return bool(self.path_glob or self.language or self.kind)

    @property
    def globs(self) -> tuple[str, ...]:
        given = (self.path_glob,) if isinstance(self.path_glob, str) else self.path_glob or ()
        return tuple(glob for glob in given if glob)

    def check(self) -> None:
        """Raises InvalidValue: a filter that can match nothing must not look like an answer."""
        if len(self.globs) > MAX_GLOBS:
            raise InvalidValue("path_glob", f"{self.globs[0]}, …", f"there are more than {MAX_GLOBS} globs")
        glob_patterns(self.globs)
        if self.language and self.language not in LANGUAGES:
            raise InvalidValue("language", self.language, f"known are {', '.join(sorted(LANGUAGES))}")
        if self.kind and self.kind not in list(Kind):
            raise InvalidValue("kind", self.kind, f"known are {', '.join(Kind)}")

    def matcher(self) -> Callable[[str], bool] | None:
        """Tells whether a path passes; None when every path does."""
        if not self:
            return None
        named = glob_matcher(self.globs)

        def matches(path: str) -> bool:
            return (
                named(path)
                and (not self.language or language_of(path) == self.language)
                and (not self.kind or kind_of(path) == self.kind)
            )

        return matches
