"""Memories out and in as lines of JSON: a page or a batch at a time, whatever their number."""

import errno
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import islice
from typing import IO, TypeVar

from anyio import to_thread

from muniment.errors import DiskFull, InvalidValue, RequestTooLarge
from muniment.events import EventType
from muniment.memory import Imported, Record, export_line, read_lines
from muniment.memory.model import MAX_BATCH
from muniment.project import Project
from muniment_api.deps import Services
from muniment_api.errors import MAX_IMPORT
from muniment_api.memories import tell

MAX_LINE = 1024 * 1024  # bytes; a memory as long as it may be has less, escapes and all

Item = TypeVar("Item")


def exported(services: Services, project: Project) -> Iterator[bytes]:
    """The lines of every memory, some hundred at a time: each piece costs a switch of threads."""
    for page in _batches(services.memory.export(project.id), MAX_BATCH):
        yield "".join(map(export_line, page)).encode()


async def take_in(services: Services, project: Project, body: AsyncIterator[bytes], *, dry_run: bool) -> Imported:
    """Checks every line before it stores the first. Raises InvalidValue, RequestTooLarge and UnknownProject.

    An import that ended early may be repeated as it was.
    """
    with tempfile.TemporaryFile(dir=services.settings.data_dir) as spool:
        size = 0
        async for piece in body:
            size += len(piece)
            if size > MAX_IMPORT:
                raise RequestTooLarge(MAX_IMPORT)
            await to_thread.run_sync(_write, spool, piece, str(services.settings.data_dir))
        total = Imported(dry_run=dry_run)
        await to_thread.run_sync(_check, spool)
        spool.seek(0)
        batches = _batches(read_lines(lines_of(spool)), MAX_BATCH)
        # a switch of threads between two batches: a gateway that stops does not wait for all of them
        while (added := await to_thread.run_sync(_take_in_next, services, project, batches, dry_run)) is not None:
            total += added
    if total.added + total.updated and not dry_run:
        counts = {"added": total.added, "updated": total.updated}
        tell(services, project, EventType.MEMORIES_IMPORTED, counts)
    return total


def _take_in_next(
    services: Services, project: Project, batches: Iterator[list[Record]], dry_run: bool
) -> Imported | None:
    """None when there is no batch left."""
    batch = next(batches, None)
    return services.memory.take_in(project, batch, dry_run=dry_run) if batch is not None else None


def _write(spool: IO[bytes], piece: bytes, folder: str) -> None:
    try:
        spool.write(piece)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise DiskFull(folder) from error
        raise


def _check(spool: IO[bytes]) -> None:
    spool.seek(0)
    for _ in read_lines(lines_of(spool)):
        pass


def lines_of(spool: IO[bytes]) -> Iterator[bytes]:
    """Never more of a line in memory than one may have. Raises InvalidValue."""
    number = 0
    while line := spool.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            shown = ascii(line[:60].decode("utf-8", "replace"))
            raise InvalidValue(f"line {number}", shown, f"it has more than {MAX_LINE:,} bytes")
        yield line


def _batches(items: Iterable[Item], count: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, count)):
        yield batch
