"""Which vectors pass a filter, remembered until the index changes: agents ask again and again below one folder."""

import math
import threading
import time
from array import array
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

import numpy as np

from muniment.embedding import Vectors
from muniment.errors import VectorsTooSlow
from muniment.lexical import LexicalReader
from muniment.manifest import ManifestReader
from muniment.search.filters import Filters
from muniment.vectors import VectorHit

MOST_ASKED: Final = 2_000  # of all, to sift those that pass
# Vectors that are fetched and compared here, times the root of how many there are. Among N vectors a search for the n
# that are wanted walks past N/n each, and fetching costs by n: 450 of 80,000 take 30 ms either way, 1,200 of 700,000
# take 90. Twice as many are worth it, because they are fetched once.
EXACT_SHARE: Final = 2.5
SPARE: Final = 1.5  # what passes a filter is not spread evenly
FETCHED_AT_ONCE: Final = 400  # as JSON a vector takes ten times its size; by 200 it takes a seventh longer
REMEMBERED: Final = 16
PATIENCE: Final = 0.15  # seconds
Part = Mapping[int, tuple[bytes, Vectors]]
Fetch = Callable[[Sequence[int]], Part]
Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """Vectors with the hashes of their texts. ``matrix``: (slots, dimensions), rows of length 1 or zero."""

    slots: Sequence[int]
    hashes: Sequence[bytes]
    matrix: Vectors

    def nearest(self, vector: Vectors, limit: int) -> list[VectorHit]:
        """By cosine, best first."""
        distances = 1.0 - self.matrix @ (vector / np.linalg.norm(vector))
        best = np.argsort(distances)[:limit]
        return [VectorHit(self.slots[at], self.hashes[at], float(distances[at])) for at in best]


@dataclass(frozen=True, slots=True)
class Passing:
    """Either so many of all are to be ``asked`` for that enough pass; or ``slots`` are all that pass; or those are few
    and ``held``."""

    asked: int = 0
    slots: Sequence[int] = ()
    held: Held | None = None


class _Deadline:
    """``patience`` seconds from now."""

    def __init__(self, patience: float, clock: Callable[[], float]) -> None:
        self._patience = patience
        self._clock = clock
        self._end = clock() + patience

    def left(self) -> float:
        """Seconds, more than 0; raises VectorsTooSlow when there are none."""
        left = self._end - self._clock()
        if left <= 0:
            raise self.missed()
        return left

    def missed(self) -> VectorsTooSlow:
        return VectorsTooSlow(round(self._patience * 1000))


class PassingVectors:
    """Safe for threads: of many that ask for the same at once one looks for it. ``clock`` tells seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._known: OrderedDict[Key, Passing] = OrderedDict()
        self._sought: dict[Key, Future[Passing | None]] = {}
        self._begun: OrderedDict[Key, dict[int, Part]] = OrderedDict()

    def of(
        self,
        lexical: LexicalReader,
        manifest: ManifestReader,
        collection: str,
        filters: Filters,
        wanted: int,
        fetch: Fetch,
        patience: float = PATIENCE,
    ) -> Passing:
        """``wanted``: how many are to pass, at the least; ``fetch`` gets vectors by their slots. Raises what that
        raises, and VectorsTooSlow when ``patience`` (seconds) is over before another call that looks for the same has
        ended, or before the last fetch of this one has begun."""
        key = (collection, lexical.commit, filters.globs, filters.language, filters.kind)
        deadline = _Deadline(patience, self._clock)

        def fetched(slots: Sequence[int]) -> Part:
            # what takes longer than one call may is fetched by several, one after the other
            parts = self._begun.setdefault(key, {})
            if slots[0] not in parts:
                deadline.left()
                parts[slots[0]] = fetch(slots)
            return parts[slots[0]]

        while True:
            mine: Future[Passing | None] = Future()
            with self._lock:
                if key in self._known:
                    self._known.move_to_end(key)
                    return self._known[key]
                left = deadline.left()
                sought = self._sought.setdefault(key, mine)
            if sought is mine:
                return self._looked_for(key, mine, lambda: _found(lexical, manifest, filters, wanted, fetched))
            try:
                passing = sought.result(left)
            except TimeoutError:
                raise deadline.missed() from None
            if passing is not None:
                return passing

    def _looked_for(
        self, key: Key, sought: Future[Passing | None], find: Callable[[], tuple[Passing, bool]]
    ) -> Passing:
        """Tells those who wait: None when it failed, and then the next of them looks."""
        passing, complete = None, False
        try:
            passing, complete = find()
            return passing
        finally:
            with self._lock:
                del self._sought[key]
                if passing is not None:
                    self._begun.pop(key, None)
                while len(self._begun) > REMEMBERED:
                    self._begun.popitem(last=False)
                # what a commit or a batch of vectors has yet to bring must not be missing until the next one
                if passing is not None and complete:
                    self._known[key] = passing
                    while len(self._known) > REMEMBERED:
                        self._known.popitem(last=False)
            sought.set_result(passing)


def _found(
    lexical: LexicalReader, manifest: ManifestReader, filters: Filters, wanted: int, fetch: Fetch
) -> tuple[Passing, bool]:
    count, total = lexical.count_passing(filters.globs, filters.language, filters.kind), lexical.num_chunks
    if count == 0:
        return Passing(), True
    asked = math.ceil(SPARE * wanted * total / count)
    if asked <= MOST_ASKED:
        return Passing(asked), True
    chunks = lexical.passing(count, filters.globs, filters.language, filters.kind)
    found = manifest.slots_of(chunks)
    slots, complete = array("q", dict.fromkeys(found)), len(found) == len(chunks)
    if len(slots) > EXACT_SHARE * math.sqrt(total):
        return Passing(slots=slots), complete
    held = _held(slots, fetch)
    # a slot that another text took over may have its old vector until that text's batch is written
    current = manifest.hashes_of(slots) == dict(zip(held.slots, held.hashes, strict=True))
    return Passing(slots=slots, held=held), complete and current


def _held(slots: Sequence[int], fetch: Fetch) -> Held:
    known: list[int] = []
    hashes: list[bytes] = []
    rows = []
    for start in range(0, len(slots), FETCHED_AT_ONCE):
        for slot, (text_hash, row) in fetch(slots[start : start + FETCHED_AT_ONCE]).items():
            known.append(slot)
            hashes.append(text_hash)
            rows.append(row)
    return Held(known, hashes, np.stack(rows) if rows else np.zeros((0, 1), np.float32))
