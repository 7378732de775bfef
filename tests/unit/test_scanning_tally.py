"""What a walk tells besides its files: roots that went away, and why a tree gave nothing."""

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from muniment.scanning import (
    FAILURES,
    UNSEEN,
    Culprit,
    FoundFile,
    RootSeen,
    Scanner,
    SkippedFile,
    SkipReason,
    WalkTally,
    all_skipped,
    away,
    scan_warnings,
)


def warnings(scanner: Scanner) -> list[str]:
    list(scanner.walk())
    return scan_warnings(scanner.tally)


def test_a_root_is_away_when_it_is_empty_and_another_folder_than_before() -> None:
    mounted = (7, 2)
    assert away(RootSeen(1, 99, 0), mounted)
    assert not away(RootSeen(7, 2, 0), mounted), "it was emptied"
    assert not away(RootSeen(1, 99, 3), mounted), "it was replaced"
    assert not away(RootSeen(1, 99, 0), None), "it was never seen"


def test_a_walk_tells_the_identity_of_each_root_and_whether_it_has_entries(tmp_path: Path) -> None:
    (tmp_path / "one/.git").mkdir(parents=True)
    (tmp_path / "two").mkdir()
    scanner = Scanner([str(tmp_path / "one"), str(tmp_path / "two")])
    list(scanner.walk())

    status = (tmp_path / "one").stat()
    assert scanner.roots_seen["one"] == RootSeen(status.st_dev, status.st_ino, 1)
    assert scanner.roots_seen["two"].entries == 0


def remounted(root: Path) -> None:
    """Another, empty folder takes the root's place, as the folder below a mount does when the volume goes."""
    root.rename(root.with_name("volume"))
    root.mkdir()


@pytest.fixture
def mounted(tmp_path: Path) -> tuple[Path, Scanner]:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "sub/a.py").write_text("x\n")
    first = Scanner([str(root)])
    list(first.walk())
    recorded = {label: seen.identity for label, seen in first.roots_seen.items()}
    return root, Scanner([str(root)], recorded=recorded)


def test_an_unmounted_root_does_not_look_emptied(mounted: tuple[Path, Scanner]) -> None:
    root, scanner = mounted
    remounted(root)
    gone = [SkippedFile("", SkipReason.ROOT_AWAY, folder=True)]

    assert list(scanner.walk()) == gone
    assert list(scanner.look("")) == gone
    assert list(scanner.look("sub/a.py")) == gone
    assert {SkipReason.ROOT_AWAY} <= FAILURES & UNSEEN


def test_a_look_counts_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("x\n")
    (tmp_path / ".gitignore").write_text("*.log\n")
    scanner = Scanner([str(tmp_path)])
    list(scanner.look(""))
    list(scanner.look("a.log"))
    assert scanner.ignored(tmp_path / "a.log", is_dir=False)
    assert scanner.tally == WalkTally()


def test_an_emptied_root_is_empty(mounted: tuple[Path, Scanner]) -> None:
    root, scanner = mounted
    shutil.rmtree(root / "sub")

    assert list(scanner.walk()) == []
    assert list(scanner.look("sub/a.py")) == []


def test_a_root_that_was_made_anew_with_files_is_walked(mounted: tuple[Path, Scanner]) -> None:
    root, scanner = mounted
    remounted(root)
    (root / "b.py").write_text("x\n")

    assert [item.path for item in scanner.walk()] == ["b.py"]
    assert list(scanner.look("sub/a.py")) == []


def test_a_root_that_goes_away_during_the_walk_takes_no_file_with_it(mounted: tuple[Path, Scanner]) -> None:
    root, scanner = mounted
    (root / "z.py").write_text("x\n")
    walk = scanner.walk()
    assert isinstance(next(walk), FoundFile)

    remounted(root)

    assert SkippedFile("", SkipReason.ROOT_AWAY, folder=True) in list(walk)


def test_a_tree_that_gives_a_file_gives_no_warning(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x\n")
    (tmp_path / "b.log").write_text("x\n")
    (tmp_path / ".gitignore").write_text("*.log\n")
    assert warnings(Scanner([str(tmp_path)])) == []


def test_a_project_without_folders_gives_no_warning() -> None:
    assert warnings(Scanner([])) == []


def test_the_rule_that_hides_everything_is_named(tmp_path: Path) -> None:
    for name in ("a.py", "b.py", "lib/c.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x\n")
    (tmp_path / ".gitignore").write_text("# mine\n*\n")

    [warning] = warnings(Scanner([str(tmp_path)]))

    assert warning == (
        "Nothing is indexed: .gitignore line 2 ('*') hides all 4 entries. "
        "Remedy: change that rule, or bring files back by '!' rules in a .munimentignore."
    )


def test_a_tree_of_which_only_the_ignore_file_is_left_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x\n")
    (tmp_path / ".gitignore").write_text("*\n!.gitignore\n")
    [warning] = warnings(Scanner([str(tmp_path)]))
    assert warning.startswith("Nothing but ignore files is indexed: .gitignore line 1 ('*') hides the only entry.")


def test_of_several_rules_the_one_that_hides_most_is_named(tmp_path: Path) -> None:
    for name in ("a.py", "b.py", "c.é"):
        (tmp_path / name).write_text("x\n")
    (tmp_path / ".munimentignore").write_text("*.py\n.*\n*.é\n")
    [warning] = warnings(Scanner([str(tmp_path)]))
    assert ".munimentignore line 1 ('*.py') hides 2 of the 4 hidden entries" in warning
    (tmp_path / "b.py").rename(tmp_path / "b.é")
    assert "line 3 ('*.é') hides 2 of" in warnings(Scanner([str(tmp_path)]))[0]


@pytest.mark.parametrize(
    ("folder", "excludes", "told"),
    [
        ("src", ["s*"], "watch_exclude ('s*') hides the only entry"),
        (
            "node_modules",
            [],
            "the default exclude 'node_modules/' hides the only entry. Remedy: a line '!node_modules/'",
        ),
    ],
)
def test_excludes_that_hide_everything_are_named(tmp_path: Path, folder: str, excludes: list[str], told: str) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "a.js").write_text("x\n")
    [warning] = warnings(Scanner([str(tmp_path)], excludes=excludes))
    assert told in warning


def test_patterns_that_match_nothing_are_named_before_what_else_is_hidden(tmp_path: Path) -> None:
    for name in ("a.py", "b.py", "node_modules/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x\n")
    first, second = warnings(Scanner([str(tmp_path)], patterns=["*.pyy"]))
    assert first.startswith("Nothing is indexed: none of 2 files matches watch_patterns. Remedy:")
    assert second.startswith("Besides: the default exclude 'node_modules/'")


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    [warning] = warnings(Scanner([str(tmp_path)]))
    assert warning.startswith("Nothing is indexed: the project's folder is empty. Remedy: check watch_paths")
    (tmp_path / "sub").mkdir()
    [warning] = warnings(Scanner([str(tmp_path)]))
    assert "holds no file" in warning


def test_a_root_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    [warning] = warnings(Scanner([str(tmp_path / "gone")]))
    assert warning.startswith("The last scan could not read the project (1 vanished): what was indexed before")


def test_files_that_are_all_left_out_are_told(tmp_path: Path) -> None:
    (tmp_path / "go.sum").write_text("x\n")
    (tmp_path / "link").symlink_to("go.sum")
    os.mkfifo(tmp_path / "pipe")
    [warning] = warnings(Scanner([str(tmp_path)]))
    assert "every file that no rule hides is left out (1 lockfile, 1 special, 1 symlink)" in warning


def test_a_pass_that_skipped_all_it_read_has_its_warning() -> None:
    assert "every file was skipped (3 binary)" in (all_skipped({"binary": 3}) or "")
    assert all_skipped({}) is None


def told_by(culprit: Culprit) -> WalkTally:
    return WalkTally(hidden=Counter({culprit: 2}), roots={"": RootSeen(1, 1, 2)})


def test_a_folder_that_gives_nothing_is_told_otherwise_when_texts_were_pushed(tmp_path: Path) -> None:
    scanner = Scanner([str(tmp_path)])
    assert list(scanner.walk()) == []
    [warning] = scan_warnings(scanner.tally, pushed=1)
    assert warning.startswith("Of the project's folders nothing is indexed: the project's folder is empty.")


def test_a_line_of_a_repository_s_own_exclude_file_is_not_shown() -> None:
    [warning] = scan_warnings(told_by(Culprit(".git/info/exclude", 1, "secret-name")))
    assert ".git/info/exclude line 1 hides all 2 entries" in warning
    assert "secret" not in warning


def test_a_rule_of_any_length_is_shown_in_part() -> None:
    [warning] = scan_warnings(told_by(Culprit(".gitignore", 1, "x" * 10_000)))
    assert len(warning) < 300
