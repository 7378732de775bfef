"""Searches where one file, one line or one project is out of all proportion."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from muniment.datafolder import DataFolder
from muniment.lexical import LexicalChunk, LexicalReader, LexicalWriter
from muniment.manifest import ManifestReader, ManifestWriter
from muniment.search.open_indexes import OpenIndexes
from muniment.search.passages import Passage, narrowed


def chunk(chunk_id: int, path: str, text: str) -> LexicalChunk:
    return LexicalChunk(chunk_id, path, text, 1, text.count("\n") + 1)


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[LexicalWriter]:
    with LexicalWriter(tmp_path / "lexical") as writer:
        yield writer


def test_one_long_list_of_registers_does_not_hide_all_other_files(writer: LexicalWriter, tmp_path: Path) -> None:
    writer.add([chunk(number, "gen/regs.h", "register register register") for number in range(500)])
    writer.add([chunk(1_000 + number, f"src/file{number}.c", f"one register of many{number}") for number in range(20)])
    writer.commit()
    found = LexicalReader(tmp_path / "lexical").search("register", 60)
    assert len(found) == 21
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)


def test_lines_around_a_line_as_long_as_a_file_are_not_the_whole_file(writer: LexicalWriter, tmp_path: Path) -> None:
    writer.add([chunk(number, "data.csv", f"{number}," + "x," * 400) for number in range(300)])
    writer.commit()
    reader = LexicalReader(tmp_path / "lexical")
    around = reader.with_neighbours(reader.chunks([150])[150], 1)
    assert 2 < len(around) < 40


def test_of_a_line_too_long_to_show_the_part_with_the_word_is_shown() -> None:
    shown = narrowed(Passage("a," * 1_000 + "needle" + ",b" * 1_000, 7, 7), {"needle"}, 320)
    assert "needle" in shown.text
    assert len(shown.text) <= 320
    assert shown.text.startswith("…")
    assert shown.text.endswith("…")
    assert (shown.start_line, shown.end_line) == (7, 7)
    assert narrowed(Passage("needle" + ",b" * 1_000, 7, 7), {"needle"}, 320).text.startswith("needle")


def test_a_project_whose_index_is_opened_slowly_keeps_no_other_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, entered, released = DataFolder(tmp_path), Event(), Event()
    for name in ("free-222222", "held-222222"):
        data.project(name).path.mkdir(parents=True)
        ManifestWriter(data.project(name).manifest, name).close(clean=True)
    really_open = ManifestReader.open

    def slowly(path: Path) -> ManifestReader | None:
        if "held-222222" in path.parts:
            entered.set()
            assert released.wait(10)
        return really_open(path)

    monkeypatch.setattr("muniment.search.open_indexes.ManifestReader.open", slowly)
    indexes = OpenIndexes(data)

    def open_one(name: str) -> bool:
        with indexes.using(name) as readers:
            return readers.manifest is not None

    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(open_one, "held-222222") for _ in range(2)]
        assert entered.wait(10)
        assert pool.submit(open_one, "free-222222").result(10)
        assert not any(one.done() for one in waiting)
        released.set()
        assert all(one.result(10) for one in waiting)
    indexes.close()
