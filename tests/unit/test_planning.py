"""What a pass decides to do, from what is known and what was found."""

from dataclasses import dataclass

import pytest

from muniment.planning import FileStamp, plan, scope


@dataclass(frozen=True)
class File:
    path: str
    size: int = 10
    mtime_ns: int = 1
    wanted: bool = False


@dataclass(frozen=True)
class Left:
    path: str
    reason: str
    folder: bool = False
    pushed: bool = False


KNOWN = {"a.py": FileStamp(10, 1, b"a"), "b.py": FileStamp(10, 1, b"b")}


def test_an_unchanged_tree_gives_an_empty_plan():
    result = plan(KNOWN, [File("a.py"), File("b.py")], [])
    assert result.empty
    assert (result.unchanged, result.growth) == (2, 0)


@pytest.mark.parametrize("changed", [File("a.py", size=11), File("a.py", mtime_ns=2)])
def test_a_file_of_another_size_or_time_is_read_again(changed):
    result = plan(KNOWN, [changed, File("b.py")], [])
    assert [file.path for file in result.to_read] == ["a.py"]
    assert result.growth == 0


def test_new_files_are_read_and_missing_ones_leave():
    result = plan(KNOWN, [File("b.py"), File("c.py")], [])
    assert [file.path for file in result.to_read] == ["c.py"]
    assert result.to_remove == ["a.py"]
    assert result.growth == 0  # one more, one less


def test_removing_readme_md_does_not_remove_readme_mdx():
    known = {"README.md": FileStamp(1, 1, b"x"), "README.mdx": FileStamp(1, 1, b"y")}
    result = plan(known, [File("README.mdx", 1)], [], in_scope=scope(["README.md"]))
    assert result.to_remove == ["README.md"]


def test_a_file_that_became_too_large_leaves_and_is_counted():
    result = plan(KNOWN, [File("b.py")], [Left("a.py", "oversized")])
    assert result.to_remove == ["a.py"]
    assert result.skipped == {"oversized": 1}


def test_known_skips_are_counted_without_being_read_again():
    known = KNOWN | {"logo.png": FileStamp(10, 1, skipped="binary")}
    result = plan(known, [File("a.py"), File("b.py"), File("logo.png")], [])
    assert result.empty
    assert result.skipped == {"binary": 1}
    assert result.unchanged == 2


def test_a_file_that_failed_is_tried_again():
    known = {"a.py": FileStamp(10, 1, b"a", error="unreadable")}
    assert [file.path for file in plan(known, [File("a.py")], []).to_read] == ["a.py"]


def test_files_below_an_unreadable_folder_stay():
    known = {"x/a.py": FileStamp(1, 1, b"a"), "y/b.py": FileStamp(1, 1, b"b")}
    result = plan(known, [], [Left("x", "unreadable", folder=True)], failing={"unreadable"})
    assert result.to_remove == ["y/b.py"]
    assert [left.path for left in result.failed] == ["x"]


def test_a_root_that_is_gone_empties_nothing():
    result = plan(KNOWN, [], [Left("", "vanished", folder=True)], failing={"vanished"})
    assert result.to_remove == []


def test_a_forced_reindex_reads_what_has_not_reached_its_generation():
    known = {"a.py": FileStamp(10, 1, b"a", target=2), "b.py": FileStamp(10, 1, b"b", target=1)}
    result = plan(known, [File("a.py"), File("b.py")], [], target=2)
    assert [file.path for file in result.to_read] == ["b.py"]


def test_files_out_of_scope_stay_untouched():
    known = {"lib/a.py": FileStamp(1, 1, b"a"), "app/b.py": FileStamp(1, 1, b"b")}
    assert plan(known, [], [], in_scope=scope(["lib"])).to_remove == ["lib/a.py"]


@pytest.mark.parametrize(
    ("paths", "recursive", "path", "expected"),
    [
        ([], True, "anything", True),
        ([""], True, "anything", True),
        (["lib"], True, "lib/deep/a.py", True),
        (["lib/"], True, "lib/a.py", True),
        (["lib"], False, "lib/a.py", True),
        (["lib"], False, "lib/deep/a.py", False),
        (["lib"], True, "library/a.py", False),
        (["lib/a.py"], True, "lib/a.py", True),
        (["lib/a.py"], True, "lib/a.pyc", False),
    ],
)
def test_a_scope_is_files_and_what_lies_below_folders(paths, recursive, path, expected):
    assert scope(paths, recursive=recursive)(path) is expected


def test_a_file_that_could_not_even_be_looked_at_stays():
    result = plan(KNOWN, [File("b.py")], [Left("a.py", "unreadable")], failing={"unreadable"}, unseen={"unreadable"})
    assert result.to_remove == []
    assert [left.path for left in result.failed] == ["a.py"]


def test_a_pushed_text_that_is_gone_leaves_whatever_else_cannot_be_read():
    known = {"src/a.md": FileStamp(10, 1, b"a", pushed=True), "src/b.py": FileStamp(10, 1, b"b")}
    for left in (Left("", "root_away", folder=True), Left("src", "unreadable", folder=True)):
        assert plan(known, [], [left], unseen={"unreadable", "root_away"}).to_remove == ["src/a.md"]
    unreadable = [Left("src/a.md", "unreadable", pushed=True)]
    assert plan(known, [File("src/b.py")], unreadable, unseen={"unreadable"}).to_remove == []


def test_a_skipped_file_that_a_rule_brings_back_is_read_though_it_did_not_change():
    known = {"api.pb.go": FileStamp(10, 1, skipped="generated"), "logo.png": FileStamp(10, 1, skipped="binary")}
    found = [File("api.pb.go", wanted=True), File("logo.png", wanted=True)]
    result = plan(known, found, [], brought_back={"generated"})
    assert [file.path for file in result.to_read] == ["api.pb.go"]
    assert (result.growth, result.skipped) == (1, {"binary": 1})
