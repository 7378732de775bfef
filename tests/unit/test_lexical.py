"""The lexical index: what is committed is found, and only that."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from muniment.errors import DiskFull, InvalidValue, LexicalIndexDamaged, WriterBusy
from muniment.lexical import LexicalChunk, LexicalReader, LexicalWriter, glob_pattern
from muniment.lexical.folder import typed_errors
from muniment.ranking import WEIGHTS


def chunk(chunk_id: int, path: str, text: str, **fields: object) -> LexicalChunk:
    return LexicalChunk(chunk_id, path, text, 1, text.count("\n") + 1, **fields)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "project" / "lexical"


@pytest.fixture
def writer(folder: Path) -> Iterator[LexicalWriter]:
    with LexicalWriter(folder) as writer:
        yield writer


def paths(folder: Path, question: str, **filters: str) -> list[str]:
    reader = LexicalReader.open(folder)
    assert reader is not None
    return [hit.path for hit in reader.search(question, 10, **filters)]  # type: ignore[arg-type]


def write(writer: LexicalWriter, *chunks: LexicalChunk) -> None:
    writer.add(chunks)
    writer.commit()


def test_a_folder_without_an_index_has_no_reader(folder: Path) -> None:
    assert LexicalReader.open(folder) is None


def test_a_part_of_a_compound_name_finds_its_file(writer: LexicalWriter, folder: Path) -> None:
    write(
        writer, chunk(1, "a.go", "func NewReconciler() {}"), chunk(2, "b.py", "get_job_status"), chunk(3, "c", "other")
    )
    assert paths(folder, "reconciler") == ["a.go"]
    assert paths(folder, "NewReconciler") == ["a.go"]
    assert paths(folder, "job") == ["b.py"]


def test_an_inflected_word_finds_its_stem(writer: LexicalWriter, folder: Path) -> None:
    write(writer, chunk(1, "a.go", "evicting the pod"))
    assert paths(folder, "evict pods") == ["a.go"]


def test_a_file_is_one_hit_at_its_best_chunk(writer: LexicalWriter, folder: Path) -> None:
    write(
        writer,
        chunk(1, "a", "lease of the worker and much more about other things in this long chunk"),
        chunk(2, "a", "lease lease lease"),
        chunk(3, "b", "worker"),
    )
    reader = LexicalReader.open(folder)
    assert reader is not None
    assert [(hit.path, hit.chunk_id) for hit in reader.search("lease", 10)] == [("a", 2)]


def test_a_word_of_the_path_and_a_defined_name_lift_a_file(writer: LexicalWriter, folder: Path) -> None:
    write(
        writer,
        chunk(1, "a.go", "eviction of something"),
        chunk(2, "eviction/b.go", "eviction of something"),
        chunk(3, "c.go", "budget for something"),
        chunk(4, "d.go", "budget for something", defines=("budget",)),
    )
    assert paths(folder, "eviction")[0] == "eviction/b.go"
    assert paths(folder, "budget")[0] == "d.go"


def test_an_identifier_that_the_question_writes_out_leads_to_its_definition(
    writer: LexicalWriter, folder: Path
) -> None:
    write(
        writer,
        chunk(1, "uses.py", "close_all close_all close_all close_all"),
        chunk(2, "pool.py", "def close_all of some longer text about workers", defines=("close_all", "Pool")),
        chunk(3, "other.py", "something else", defines=("Other", "Further")),
        chunk(4, "more.py", "something more", defines=("More",)),
    )
    assert paths(folder, "close_all") == ["pool.py", "uses.py"]
    without = LexicalReader(folder, replace(WEIGHTS, names=0.0, symbol=0.0))
    assert [hit.path for hit in without.search("close_all", 10)] == ["uses.py", "pool.py"]


def test_what_is_to_be_done_tells_less_than_what_it_is_done_to(writer: LexicalWriter, folder: Path) -> None:
    write(
        writer,
        chunk(1, "tasks.py", "remove the one here"),
        chunk(2, "lens.py", "the focus is here"),
        chunk(3, "a.py", "remove the focus"),
    )
    assert paths(folder, "remove focus") == ["a.py", "lens.py", "tasks.py"]
    assert paths(folder, "remove") == ["a.py", "tasks.py"]


def test_a_hit_leads_to_its_chunk_with_lines_symbol_language_and_kind(writer: LexicalWriter, folder: Path) -> None:
    path = "tests/ünï/a b.py"
    write(writer, LexicalChunk(7, path, "def load(): ...", 3, 9, "load", ("load",), "python", "test"))
    reader = LexicalReader.open(folder)
    assert reader is not None
    [hit] = reader.search("load", 5)
    assert (hit.chunk_id, hit.path, hit.kind) == (7, path, "test")
    assert hit.score > 0
    chunk = reader.chunks([hit.chunk_id])[hit.chunk_id]
    assert (chunk.path, chunk.start_line, chunk.end_line) == (path, 3, 9)
    assert (chunk.symbol, chunk.language, chunk.kind) == ("load", "python", "test")


def test_more_paths_than_are_remembered_are_read_again(
    writer: LexicalWriter, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muniment.lexical.reader.PATHS_KNOWN", 3)
    write(writer, *(chunk(number, f"file{number}", f"lease word{number}") for number in range(8)))
    reader = LexicalReader.open(folder)
    assert reader is not None
    for _ in range(2):
        assert {hit.path for hit in reader.search("lease", 10)} == {f"file{number}" for number in range(8)}


def test_an_open_reader_sees_the_next_commit(writer: LexicalWriter, folder: Path) -> None:
    write(writer, chunk(1, "a", "first"))
    reader = LexicalReader.open(folder)
    assert reader is not None
    assert reader.num_chunks == 1
    write(writer, chunk(2, "b", "second"))
    assert [hit.path for hit in reader.search("second", 5)] == ["b"]
    assert reader.num_chunks == 2


def test_what_is_not_committed_is_not_found(writer: LexicalWriter, folder: Path) -> None:
    write(writer, chunk(1, "a", "first"))
    writer.add([chunk(2, "b", "second")])
    assert paths(folder, "second") == []


def test_a_rollback_drops_what_was_added_and_keeps_the_writer_usable(writer: LexicalWriter, folder: Path) -> None:
    writer.add([chunk(1, "a", "first")])
    writer.rollback()
    write(writer, chunk(2, "b", "second"))
    assert (paths(folder, "first"), paths(folder, "second")) == ([], ["b"])


def test_deleting_a_path_leaves_every_longer_path(writer: LexicalWriter, folder: Path) -> None:
    write(writer, chunk(1, "README.md", "hello"), chunk(2, "README.mdx", "hello"), chunk(3, "docs/README.md", "hello"))
    writer.delete_paths(["README.md"])
    writer.commit()
    assert sorted(paths(folder, "hello")) == ["README.mdx", "docs/README.md"]


def test_a_file_is_replaced_in_one_commit(writer: LexicalWriter, folder: Path) -> None:
    write(writer, chunk(1, "a", "old words"))
    writer.delete_paths(["a"])
    writer.add([chunk(2, "a", "new words")])
    assert paths(folder, "old") == ["a"]
    writer.commit()
    assert (paths(folder, "old"), paths(folder, "new")) == ([], ["a"])


def test_delete_all_empties_the_index(writer: LexicalWriter, folder: Path) -> None:
    write(writer, chunk(1, "a", "hello"))
    writer.delete_all()
    writer.commit()
    assert paths(folder, "hello") == []


def test_texts_are_given_back_as_they_came(writer: LexicalWriter, folder: Path) -> None:
    text = "line one\n\tLINE “two” 日本\r\n"
    write(writer, chunk(1, "a", text), chunk(2, "b", "other"))
    assert writer.texts([1, 99]) == {1: text}
    reader = LexicalReader.open(folder)
    assert reader is not None
    assert reader.texts([2, 1]) == {1: text, 2: "other"}
    assert reader.texts([]) == {}


def test_filters_hold_alone_and_together(writer: LexicalWriter, folder: Path) -> None:
    write(
        writer,
        chunk(1, "src/a.py", "lease", language="python"),
        chunk(2, "src/a_test.py", "lease", language="python", kind="test"),
        chunk(3, "src/a.go", "lease", language="go"),
    )
    assert set(paths(folder, "lease", language="python")) == {"src/a.py", "src/a_test.py"}
    assert paths(folder, "lease", kind="test") == ["src/a_test.py"]
    assert paths(folder, "lease", language="python", kind="code") == ["src/a.py"]
    assert paths(folder, "lease", path_glob="*.go", language="python") == []
    assert paths(folder, "lease", language="cobol") == []


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("*.go", {"x.go", "src/y.go", "src/deep/z.go"}),
        ("x.go", {"x.go"}),
        ("src/*", {"src/y.go", "src/[a] +b.py"}),
        ("src/**", {"src/y.go", "src/deep/z.go", "src/[a] +b.py"}),
        ("src", {"src/y.go", "src/deep/z.go", "src/[a] +b.py"}),
        ("src/", {"src/y.go", "src/deep/z.go", "src/[a] +b.py"}),
        ("/src/deep", {"src/deep/z.go"}),
        ("deep", {"src/deep/z.go"}),
        ("src/**/z.go", {"src/deep/z.go"}),
        ("src/**/y.go", {"src/y.go"}),
        ("**/*.go", {"x.go", "src/y.go", "src/deep/z.go"}),
        ("?.go", {"x.go", "src/y.go", "src/deep/z.go"}),
        ("[xy].go", {"x.go", "src/y.go"}),
        ("[!x].go", {"src/y.go", "src/deep/z.go"}),
        ("*+b.py", {"src/[a] +b.py"}),
        ("ünï/*", {"ünï/ö.md"}),
        ("ünï/?.md", {"ünï/ö.md"}),
        ("sr", set()),
        ("x.g", set()),
        ("*.{go}", set()),
    ],
)
def test_a_glob_chooses_the_paths_it_says(writer: LexicalWriter, folder: Path, glob: str, expected: set[str]) -> None:
    every = ["x.go", "src/y.go", "src/deep/z.go", "src/[a] +b.py", "ünï/ö.md"]
    write(writer, *(chunk(number, path, "lease") for number, path in enumerate(every, start=1)))
    assert set(paths(folder, "lease", path_glob=glob)) == expected


@pytest.mark.parametrize("glob", ["[z-a].go", "x" * 10_000, "?" * 290])
def test_a_glob_that_cannot_be_is_refused_by_name(writer: LexicalWriter, folder: Path, glob: str) -> None:
    write(writer, chunk(1, "a", "lease"))
    with pytest.raises(InvalidValue, match="path_glob"):
        paths(folder, "lease", path_glob=glob)


def test_a_glob_is_one_pattern_for_python_too() -> None:
    pattern = glob_pattern("src/**/[ab]?.go")
    assert pattern == r"src/([^\x00]*/)?[ab][^/]\.go"


@pytest.mark.parametrize(
    "question",
    [
        "",
        " ",
        "\"'(:^~*[]{}\\/+-!? AND OR NOT TO",
        "body:lease",
        "lease\x00",
        "\ud800 lease",
        "日本",
        "x" * 50_000,
        " ".join(f"word{number}" for number in range(5_000)),
    ],
)
def test_any_text_is_a_question(writer: LexicalWriter, folder: Path, question: str) -> None:
    write(writer, chunk(1, "a", "lease"))
    assert set(paths(folder, question)) <= {"a"}


def test_a_text_with_a_lone_surrogate_is_indexed(writer: LexicalWriter, folder: Path) -> None:
    write(writer, chunk(1, "a", "lease \ud800"))
    assert paths(folder, "lease") == ["a"]


def test_many_threads_search_while_commits_go_on(writer: LexicalWriter, folder: Path) -> None:
    write(writer, chunk(1, "a", "lease 1"))
    reader = LexicalReader.open(folder)
    assert reader is not None
    counts: list[int] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            counts.append(len(reader.search("lease", 10)))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(10):
        writer.delete_paths(["a"])
        writer.add([chunk(100 + number, "a", f"lease {number}")])
        writer.commit()
    done.set()
    for thread in threads:
        thread.join(10)
    # delete and add are one step for a reader: the file is never missing, never double
    assert set(counts) == {1}


def test_a_second_writer_is_refused(folder: Path) -> None:
    with LexicalWriter(folder), pytest.raises(WriterBusy):
        LexicalWriter(folder)


def test_a_closed_folder_opens_again_with_its_chunks(folder: Path) -> None:
    with LexicalWriter(folder) as writer:
        write(writer, chunk(1, "a", "lease"))
    writer.close()
    with LexicalWriter(folder) as again:
        assert again.texts([1]) == {1: "lease"}


@pytest.mark.parametrize("content", ["{", "", '{"segments": [], "schema": [], "opstamp": 0}'])
def test_a_damaged_folder_is_named_and_told_how_it_is_mended(folder: Path, content: str) -> None:
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text(content)
    for opening in (LexicalWriter, LexicalReader.open):
        with pytest.raises(LexicalIndexDamaged, match="rebuilt") as caught:
            opening(folder)
        assert str(folder) in caught.value.text


def test_a_missing_segment_is_damage(folder: Path) -> None:
    with LexicalWriter(folder) as writer:
        write(writer, chunk(1, "a", "lease"))
    for file in folder.glob("*.store"):
        file.unlink()
    with pytest.raises(LexicalIndexDamaged):
        LexicalReader.open(folder)
    with pytest.raises(LexicalIndexDamaged):
        LexicalWriter(folder)


def test_a_full_disk_is_told_apart_from_damage(tmp_path: Path) -> None:
    with pytest.raises(DiskFull), typed_errors(tmp_path):
        raise ValueError("An IO error occurred: 'No space left on device (os error 28)'")


def test_a_path_that_is_no_text_does_not_look_like_damage(writer: LexicalWriter) -> None:
    with pytest.raises(UnicodeEncodeError):
        writer.add([chunk(1, "a\udcff", "lease")])
