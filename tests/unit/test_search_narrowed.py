"""Filters, phrases, named places, files that are gone, lines around a hit, further places of a file."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from search_tree import Tree, searching

from muniment.errors import InvalidValue
from muniment.pushed import PushedFiles
from muniment.search import Search, SearchHit, SearchOutcome
from muniment.search.candidates import NO_WORDS
from muniment.search.passing import PassingVectors


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


@pytest.fixture
def search(tree: Tree) -> Iterator[Search]:
    search = searching(tree)
    yield search
    search.close()


def ask(search: Search, tree: Tree, question: str, **options: object) -> SearchOutcome:
    return search.search(tree.project, question, **options)  # type: ignore[arg-type]


def paths(outcome: SearchOutcome) -> list[str]:
    return [hit.path for hit in outcome.results]


def only(outcome: SearchOutcome) -> SearchHit:
    (hit,) = outcome.results
    return hit


# --- filters ----------------------------------------------------------------------------------------------------


def test_one_of_several_globs_must_match_and_none_behind_an_exclamation_mark(search: Search, tree: Tree) -> None:
    tree.index({f"{folder}/{name}.py": "lease" for folder in ("src", "lib", "old") for name in ("a", "b")})
    assert set(paths(ask(search, tree, "lease", path_glob=["src/**", "lib/**", "!b.py"]))) == {"src/a.py", "lib/a.py"}
    assert set(paths(ask(search, tree, "lease", path_glob="!old"))) == {"src/a.py", "src/b.py", "lib/a.py", "lib/b.py"}
    assert set(paths(ask(search, tree, "lease", path_glob=["", "old/*"]))) == {"old/a.py", "old/b.py"}


@pytest.mark.parametrize("globs", [["src/**", "!other"], "!b.py"])
def test_globs_narrow_what_only_the_vectors_find(search: Search, tree: Tree, globs: list[str]) -> None:
    # "is" is a stop word of the lexical question, not of the embedder
    tree.index({"src/a.py": "is is", "src/b.py": "is is", "lib/b.py": "is is"})
    found = set(paths(ask(search, tree, "nowhere is", path_glob=globs)))
    assert found == ({"src/a.py", "src/b.py"} if "src/**" in globs else {"src/a.py"})


def test_a_narrow_filter_finds_by_meaning_what_lies_behind_everything_else(
    search: Search, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd = {f"src/f{number}.py": f"is word{number}" for number in range(400)}
    tree.index({**crowd, "docs/far.md": "is " + " ".join(f"other{number}" for number in range(40))})
    monkeypatch.setattr("muniment.search.passing.MOST_ASKED", 100)
    for share in (1.5, 0.0):
        search._meaning._passing = PassingVectors()
        monkeypatch.setattr("muniment.search.passing.EXACT_SHARE", share)
        assert paths(ask(search, tree, "nowhere is", path_glob="docs/**")) == ["docs/far.md"]
    (among,) = tree.vectors.queries
    assert among is not None
    assert len(among) == 1


def test_a_wide_filter_asks_for_so_many_that_enough_pass(
    search: Search, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muniment.search.meaning.SLOTS_ASKED", 20)
    tree.index({f"{folder}/f{number}.py": f"is {folder} w{number}" for number in range(40) for folder in ("a", "b")})
    found = paths(ask(search, tree, "nowhere is", path_glob="a/**", limit=100))
    assert tree.vectors.queries == [None]
    assert len(found) >= 20
    assert all(path.startswith("a/") for path in found)


def test_what_passes_a_filter_is_remembered_until_the_index_changes(
    search: Search, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muniment.search.passing.MOST_ASKED", 0)
    monkeypatch.setattr("muniment.search.passing.EXACT_SHARE", 10.0)
    fetched: list[int] = []
    fetch = tree.vectors.vectors
    monkeypatch.setattr(tree.vectors, "vectors", lambda name, slots: fetched.append(len(slots)) or fetch(name, slots))
    tree.index({f"{folder}/a{number}.py": "is is" * number for folder in ("src", "lib") for number in (1, 2, 3, 4)})
    for _ in range(3):
        assert len(paths(ask(search, tree, "nowhere is", path_glob="src/**"))) == 4
    assert fetched == [4]
    tree.index({"src/new.py": "is is is"})
    assert "src/new.py" in paths(ask(search, tree, "nowhere is", path_glob="src/**"))
    assert fetched == [4, 5]


def test_vectors_that_are_still_to_come_are_not_missed_for_long(
    search: Search, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("muniment.search.passing.MOST_ASKED", 0)
    tree.index({"src/a.py": "is is", "lib/b.py": "is"})
    rows = dict(tree.vectors.rows)
    tree.vectors.rows.clear()
    assert paths(ask(search, tree, "nowhere is", path_glob="src/**")) == []
    tree.vectors.rows.update(rows)
    assert paths(ask(search, tree, "nowhere is", path_glob="src/**")) == ["src/a.py"]


def test_a_filter_that_nothing_passes_asks_the_vectors_for_nothing(search: Search, tree: Tree) -> None:
    tree.index({"a.py": "lease"})
    assert paths(ask(search, tree, "lease", language="rust")) == []
    assert tree.vectors.queries == []


def test_more_globs_than_anybody_needs_are_refused(search: Search, tree: Tree) -> None:
    with pytest.raises(InvalidValue, match="more than 20 globs"):
        ask(search, tree, "lease", path_glob=[f"a{number}" for number in range(21)])


# --- phrases and places -----------------------------------------------------------------------------------------


def test_what_stands_in_quotes_must_occur_as_it_stands(search: Search, tree: Tree) -> None:
    tree.index(
        {
            "a.py": "the lease was not lost, lost was only the lease, the lease lost",
            "b.py": ["import lease\n", "raise Lost('The lease  was\n  lost: sorry')\n"],
        }
    )
    outcome = ask(search, tree, 'where is "the lease was lost"')
    assert (only(outcome).path, only(outcome).start_line, outcome.notes) == ("b.py", 2, [])


def test_beside_other_words_quotes_lift_the_files_that_hold_them_and_leave_the_rest(search: Search, tree: Tree) -> None:
    tree.index(
        {
            "a.py": "lost is the lease of the worker, the worker lost the lease",
            "b.py": ["import worker\n" * 5, "raise Lost('the lease was lost')\n"],
            "c.py": "nothing of it",
        }
    )
    outcome = ask(search, tree, 'worker says "the lease was lost"')
    assert [(hit.path, hit.start_line) for hit in outcome.results[:2]] == [("b.py", 6), ("a.py", 1)]
    assert outcome.notes == []


def test_a_phrase_that_occurs_nowhere_is_taken_as_words_and_that_is_said(search: Search, tree: Tree) -> None:
    tree.index({"a.py": "lost the lease"})
    outcome = ask(search, tree, '"the lease was lost"')
    assert paths(outcome) == ["a.py"]
    assert "“the lease was lost”" in outcome.notes[0]


def test_a_phrase_is_looked_for_within_the_filter(search: Search, tree: Tree) -> None:
    tree.index({"src/a.py": "lease was lost", "docs/a.md": "lease was lost"})
    assert paths(ask(search, tree, '"lease was lost"', path_glob="docs/**")) == ["docs/a.md"]


def chunks(count: int) -> list[str]:
    return [f"def part_{number}():\n    return {number}\n" for number in range(count)]


def test_a_place_in_a_file_is_found_first_with_its_line(search: Search, tree: Tree) -> None:
    tree.index({"pkg/src/x.py": chunks(5), "lib/y.py": "src x src x py src x", "other/x.py": chunks(1)})
    for question in ("src/x.py:6", "/app/pkg/src/x.py:6", 'File "/srv/pkg/src/x.py", line 6, in part_2'):
        first = ask(search, tree, question).results[0]
        assert (first.path, first.start_line, first.symbol) == ("pkg/src/x.py", 5, "part_2"), question


def test_a_place_with_words_prefers_its_file_whatever_the_words_say(search: Search, tree: Tree) -> None:
    tree.index({"src/x.py": chunks(3), "src/lease.py": "lease is lost here"})
    assert paths(ask(search, tree, "lease is lost at src/x.py:1")) == ["src/x.py", "src/lease.py"]


def test_a_place_that_is_not_indexed_or_filtered_out_changes_nothing(search: Search, tree: Tree) -> None:
    tree.index({"src/x.py": chunks(3), "src/lease.py": "lease is lost here"})
    assert paths(ask(search, tree, "lease lost at gone/z.py:1"))[0] == "src/lease.py"
    assert paths(ask(search, tree, "lease lost at src/x.py:1", path_glob="lease.py")) == ["src/lease.py"]


def test_a_name_that_many_files_have_means_none_of_them(search: Search, tree: Tree) -> None:
    tree.index({**{f"p{number}/__init__.py": "nothing" for number in range(6)}, "lease.py": "lease is lost"})
    assert paths(ask(search, tree, "lease lost __init__.py:1"))[0] == "lease.py"


def test_a_long_trace_finds_the_frames_that_are_ours(search: Search, tree: Tree) -> None:
    tree.index({"src/pay.py": chunks(4), **{f"src/m{number}.py": f"error in call {number}" for number in range(30)}})
    library = '  File "/usr/lib/python3/site-packages/lib{0}.py", line {0}, in call{0}\n'
    frames = [library.format(number) for number in range(1, 120)]
    trace = "".join(["Traceback (most recent call last):\n", *frames, '  File "/app/src/pay.py", line 3, in part_1\n'])
    first = ask(search, tree, (trace + "KeyError: 'unheard_of'\n")[-10_000:]).results[0]
    assert (first.path, first.symbol) == ("src/pay.py", "part_1")


# --- strange questions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("question", ["?!", "=> {} ;", "🚀", "…"])
def test_a_question_without_any_word_answers_nothing_and_says_why(search: Search, tree: Tree, question: str) -> None:
    tree.index({"a.py": "take the lease"})
    outcome = ask(search, tree, question)
    assert (outcome.results, outcome.notes) == ([], [NO_WORDS])


@pytest.mark.parametrize("question", ["what is this about", "the", "🚀 lease 🚀", "\x00lease\x07", "lease " * 1_600])
def test_strange_questions_are_answered(search: Search, tree: Tree, question: str) -> None:
    tree.index({"a.py": "the lease: what is this about"})
    assert paths(ask(search, tree, question)) == ["a.py"]


def test_scripts_without_spaces_are_found_by_a_part_of_their_words(search: Search, tree: Tree) -> None:
    tree.index({"a.py": "# 数据库连接已关闭", "b.py": "# 用户名称"})
    assert paths(ask(search, tree, "数据库"))[0] == "a.py"


def test_of_endless_words_those_that_tell_most_are_asked(search: Search, tree: Tree) -> None:
    common = " ".join(f"common{number}" for number in range(70))
    tree.index({**{f"f{number}.py": common for number in range(5)}, "a.py": f"{common} cartographer"})
    first = ask(search, tree, f"{common} cartographer").results[0]
    assert (first.path, first.score) == ("a.py", 1.0)


# --- what is shown ----------------------------------------------------------------------------------------------


def test_lines_around_a_hit_come_from_the_index_not_from_the_disk(search: Search, tree: Tree) -> None:
    tree.index({"a.py": ["one\ntwo\n", "take the lease\n", "four\nfive\n", "six\n"]})
    (tree.sources / "a.py").write_text("secret\n" * 6)
    hit = only(ask(search, tree, "lease", context=2))
    assert (hit.start_line, hit.end_line, hit.text) == (1, 5, "one\ntwo\ntake the lease\nfour\nfive")
    assert hit.stale
    alone = only(ask(search, tree, "lease"))
    assert (alone.start_line, alone.end_line, alone.text) == (3, 3, "take the lease\n")


@pytest.mark.parametrize("context", [-1, 21])
def test_lines_around_a_hit_have_a_bound(search: Search, tree: Tree, context: int) -> None:
    with pytest.raises(InvalidValue, match="context"):
        ask(search, tree, "lease", context=context)


def test_further_places_of_a_file_that_match_well_are_named(search: Search, tree: Tree) -> None:
    parts = ["def take():\n    lease renew\n", "nothing = 1\n", "def renew():\n    lease renew lease\n"]
    tree.index({"a.py": [*parts, *[f"def more_{n}():\n    lease renew and other words\n" for n in range(6)]]})
    hit = only(ask(search, tree, "lease renew"))
    assert len(hit.also) == 3
    places = {(place.start_line, place.symbol) for place in hit.also}
    assert (3, None) not in places
    assert (hit.start_line, hit.symbol) not in places
    assert all(place.symbol for place in hit.also)


def test_a_place_that_is_shown_around_a_hit_is_not_named_again(search: Search, tree: Tree) -> None:
    tree.index({"a.py": ["def take():\n    lease renew\n", "def renew():\n    lease renew lease\n"]})
    assert len(only(ask(search, tree, "lease renew")).also) == 1
    assert only(ask(search, tree, "lease renew", context=5)).also == []


# --- what is gone -----------------------------------------------------------------------------------------------


def test_a_file_that_is_gone_is_no_hit_but_is_counted(search: Search, tree: Tree) -> None:
    tree.index({f"f{number}.py": "take the lease" for number in range(12)})
    for number in range(10):
        (tree.sources / f"f{number}.py").unlink()
    outcome = ask(search, tree, "lease", limit=2)
    assert (set(paths(outcome)), outcome.gone) == ({"f10.py", "f11.py"}, 10)


def test_a_file_that_became_a_folder_or_a_link_is_gone(search: Search, tree: Tree) -> None:
    tree.index({"a.py": "take the lease", "b.py": "take the lease"})
    for name in ("a.py", "b.py"):
        (tree.sources / name).unlink()
    (tree.sources / "a.py").mkdir()
    (tree.sources / "b.py").symlink_to("/etc/hostname")
    outcome = ask(search, tree, "lease")
    assert (outcome.results, outcome.gone) == ([], 2)


def test_files_of_a_folder_that_is_away_are_stale_not_gone(search: Search, tree: Tree) -> None:
    tree.index({"a.py": "take the lease"})
    shutil.rmtree(tree.sources)
    outcome = ask(search, tree, "lease")
    assert ([hit.stale for hit in outcome.results], outcome.gone) == ([True], 0)


def test_files_of_a_volume_that_is_unmounted_are_stale_not_gone(search: Search, tree: Tree) -> None:
    tree.index({"a.py": "take the lease"})
    before = tree.sources.stat()
    tree.set_meta(roots=f'{{"{tree.sources}": [{before.st_dev}, {before.st_ino + 1}]}}')
    (tree.sources / "a.py").unlink()
    assert [hit.stale for hit in ask(search, tree, "lease").results] == [True]
    (tree.sources / "other.py").write_text("mounted again, without the file")
    assert ask(search, tree, "lease").gone == 1


def test_a_pushed_file_is_there_until_it_is_taken_back(search: Search, tree: Tree) -> None:
    tree.index({"notes/a.md": "take the lease"})
    (tree.sources / "notes" / "a.md").unlink()
    pushed = PushedFiles(tree.data.project(tree.project.id).pushed)
    pushed.make()
    pushed.put("notes/a.md", "another lease", now_ns=1)
    assert [hit.stale for hit in ask(search, tree, "lease").results] == [True]
    pushed.remove("notes/a.md")
    assert ask(search, tree, "lease").gone == 1


def test_a_pushed_file_that_is_damaged_goes_on_answering(search: Search, tree: Tree) -> None:
    tree.index({"notes/a.md": "take the lease"})
    (tree.sources / "notes" / "a.md").unlink()
    folder = tree.data.project(tree.project.id).pushed
    pushed = PushedFiles(folder)
    pushed.make()
    pushed.put("notes/a.md", "another lease", now_ns=1)
    (stored,) = (one for one in folder.iterdir() if one.name not in {"lock", "incoming"})
    stored.write_bytes(b"{")
    assert [hit.stale for hit in ask(search, tree, "lease").results] == [True]
