"""The files of a manifest by name and state, and what its meta row tells of the last scan."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from muniment.manifest import (
    FileState,
    FileUpdate,
    LeftOut,
    ListedFile,
    Listing,
    ManifestReader,
    ManifestWriter,
    NewChunk,
)
from muniment.planning import FileStamp

NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)
NOON_NS = int(NOON.timestamp()) * 10**9


@pytest.fixture
def manifest(tmp_path: Path) -> Iterator[ManifestWriter]:
    writer = ManifestWriter(tmp_path / "manifest.sqlite", "demo-abc234")
    yield writer
    writer.close(clean=True)


def put(manifest: ManifestWriter, path: str, stamp: FileStamp, *, text: str | None = None, embed: bool = False) -> None:
    """``text`` None: no chunk."""
    first = manifest.begin_batch([path], 1)
    chunks = [] if text is None else [NewChunk(first, 1, 1, None, text.encode().ljust(16))]
    manifest.commit_batch([FileUpdate(path, stamp, chunks)])
    if embed:
        manifest.vectors.mark_embedded(manifest.vectors.pending(10))


def indexed(**fields: object) -> FileStamp:
    return FileStamp(**{"size": 5, "mtime_ns": NOON_NS, "content_hash": b"h", **fields})  # type: ignore[arg-type]


def listed(manifest: ManifestWriter, listing: Listing | None = None) -> dict[str, tuple[str, str | None]]:
    page = manifest.reader.listed(listing or Listing())
    assert page.next is None
    return {item.path: (item.state, item.reason) for item in page.items}


@pytest.fixture
def filled(manifest: ManifestWriter) -> ManifestWriter:
    put(manifest, "src/a.py", indexed(by_lines="slow", masked=2), text="one", embed=True)
    put(manifest, "src/b.py", indexed(), text="two")
    put(manifest, "src/c.bin", indexed(content_hash=None, skipped="binary"))
    put(manifest, "src/d.txt", indexed(content_hash=None, error="undecodable"))
    put(manifest, "src.py", indexed(pushed=True), text="one", embed=True)
    manifest.note_left_out(
        [
            LeftOut("go.sum", "lockfile", False),
            LeftOut("lib", "unreadable", True),
            LeftOut("src/b.py", "unreadable", True),
        ]
    )
    return manifest


def test_every_file_is_listed_once_with_its_state_and_reason(filled: ManifestWriter) -> None:
    assert listed(filled) == {
        "go.sum": ("skipped", "lockfile"),
        "lib": ("failed", "unreadable"),
        "src.py": ("indexed", None),
        "src/a.py": ("indexed", None),
        "src/b.py": ("failed", "unreadable"),  # with the text that it had before
        "src/c.bin": ("skipped", "binary"),
        "src/d.txt": ("failed", "undecodable"),
    }


def test_a_file_waits_for_its_vectors_and_for_being_read_again(manifest: ManifestWriter) -> None:
    put(manifest, "a.py", indexed(), text="one")
    assert listed(manifest) == {"a.py": ("pending", None)}
    manifest.vectors.mark_embedded(manifest.vectors.pending(10))
    assert listed(manifest) == {"a.py": ("indexed", None)}
    manifest.begin_batch(["a.py"], 1)
    manifest.forget_interrupted()
    [item] = manifest.reader.listed(Listing()).items
    assert (item.state, item.size, item.modified) == (FileState.PENDING, None, None)


def test_a_listed_file_tells_what_is_known_of_it(filled: ManifestWriter) -> None:
    [item] = filled.reader.listed(Listing(below="src/a.py")).items
    assert item == ListedFile(
        path="src/a.py", state=FileState.INDEXED, reason=None, size=5, modified=NOON,
        chunks=1, masked=2, by_lines="slow", pushed=False,
    )  # fmt: skip
    [left_out] = filled.reader.listed(Listing(reason="lockfile")).items
    assert (left_out.size, left_out.modified, left_out.chunks) == (None, None, 0)
    assert filled.reader.listed(Listing(below="src.py")).items[0].pushed


@pytest.mark.parametrize(
    ("listing", "paths"),
    [
        (Listing(state=FileState.FAILED), ["lib", "src/b.py", "src/d.txt"]),
        (Listing(state=FileState.SKIPPED), ["go.sum", "src/c.bin"]),
        (Listing(state=FileState.PENDING), []),
        (Listing(reason="unreadable"), ["lib", "src/b.py"]),
        (Listing(reason="unreadable", below="src"), ["src/b.py"]),
        (Listing(below="src"), ["src/a.py", "src/b.py", "src/c.bin", "src/d.txt"]),
        (Listing(below="sr"), []),
    ],
)
def test_the_list_is_narrowed_by_state_reason_and_folder(
    filled: ManifestWriter, listing: Listing, paths: list[str]
) -> None:
    assert list(listed(filled, listing)) == paths


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_pages_hold_every_file_once_in_order(filled: ManifestWriter, limit: int) -> None:
    paths: list[str] = []
    after: str | None = None
    for _ in range(10):
        page = filled.reader.listed(Listing(limit=limit, after=after))
        assert len(page.items) <= limit
        paths += [item.path for item in page.items]
        after = page.next
        if after is None:
            break
    assert paths == ["go.sum", "lib", "src.py", "src/a.py", "src/b.py", "src/c.bin", "src/d.txt"]


def test_a_root_that_could_not_be_read_is_on_the_first_page(manifest: ManifestWriter) -> None:
    manifest.note_left_out([LeftOut("", "root_away", True)])
    assert listed(manifest) == {"": ("failed", "root_away")}


def test_the_meta_row_tells_warnings_and_roots_of_the_last_scan(manifest: ManifestWriter) -> None:
    assert (manifest.meta().warnings, manifest.meta().roots) == ([], {})
    manifest.set_meta(warnings=json.dumps(["Nothing."]), roots=json.dumps({"/src": [7, 2]}))
    assert (manifest.meta().warnings, manifest.meta().roots) == (["Nothing."], {"/src": (7, 2)})


def test_a_manifest_of_another_version_is_none(manifest: ManifestWriter, tmp_path: Path) -> None:
    manifest.set_meta(schema=1)
    assert ManifestReader.open(tmp_path / "manifest.sqlite") is None
