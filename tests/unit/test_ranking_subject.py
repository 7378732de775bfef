"""What a question is about."""

import time

import pytest

from muniment.ranking import QuestionType, Subject


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("AsyncResult", QuestionType.SYMBOL),
        ("set_timeout", QuestionType.SYMBOL),
        ("crontab", QuestionType.SYMBOL),
        ("class Offset", QuestionType.SYMBOL),
        ("where is maintain_pool defined?", QuestionType.SYMBOL),
        ("DependencyGraph.add_arc", QuestionType.SYMBOL),
        ("src/app/base.py", QuestionType.PATH),
        ("app/base.py:120", QuestionType.PATH),
        (r"app\base.py", QuestionType.PATH),
        ("what is in tokenizer.go", QuestionType.PATH),
        ("package.module.submodule", QuestionType.PATH),
        ("ValueError: task_id must not be empty", QuestionType.ERROR),
        ("panic: assignment to entry in nil map", QuestionType.ERROR),
        ("NoMatches: no nodes match '#sidebar'", QuestionType.ERROR),
        ("Traceback (most recent call last)", QuestionType.ERROR),
        ("how are tasks retried after a failure", QuestionType.SENTENCE),
        ("fix the TypeError in set_timeout", QuestionType.SENTENCE),
        ("handle a timeout in app/base.py", QuestionType.SENTENCE),
        ("read and/or write", QuestionType.SENTENCE),
        ("", QuestionType.SENTENCE),
        ("?", QuestionType.SENTENCE),
    ],
)
def test_the_type_of_a_question_is_told_from_its_form(question: str, kind: QuestionType) -> None:
    assert Subject.of(question).type is kind


@pytest.mark.parametrize(
    ("question", "path"),
    [
        ("app/base.py", "src/app/base.py"),
        ("APP/Base.py", "src/app/base.py"),
        ("look into app/base for it", "src/app/base.py"),
        ("base.py", "src/app/base.py"),
        ('File "/srv/lib/site-packages/src/app/base.py", line 7', "src/app/base.py"),
        ("./app/base.py:12:3", "src/app/base.py"),
        ("`app/base.py`.", "src/app/base.py"),
        ("remove src.app.base.is_empty", "src/app/base.py"),
        ("src.app.base.Thing.is_empty", "src/app/base.py"),
        ("utils/env: use an isolated build", "src/utils/env/__init__.py"),
        ("src/app/base.py", "src/app/base.py"),
        (".github/workflows/ci.yml", ".github/workflows/ci.yml"),
    ],
)
def test_a_question_names_a_file_by_its_path_or_its_end(question: str, path: str) -> None:
    assert Subject.of(question).names_file(path)


@pytest.mark.parametrize(
    ("question", "path"),
    [
        ("app/base.py", "src/app/base_test.py"),
        ("app/base.py", "src/happ/base.py"),
        ("base.py", "src/app/database.py"),
        ("app/other/base.py", "base.py"),
        ("how is the base of the app made", "src/app/base.py"),
        ("https://example.org/app/base.py", "app/base.py"),
        ("version 1.2.3", "a/3.py"),
        ("", "a.py"),
    ],
)
def test_a_question_does_not_name_a_file_by_chance(question: str, path: str) -> None:
    assert not Subject.of(question).names_file(path)


@pytest.mark.parametrize(
    ("question", "symbols"),
    [
        ("make HTTPServer.set_timeout private", {"HTTPServer", "set_timeout"}),
        ("why does close() block", {"close"}),
        ("the `lens` argument", {"lens"}),
        ("def parse of the reader", {"parse"}),
        ("_private is used", {"_private"}),
        ("parseURL and XMLReader", {"parseURL", "XMLReader"}),
        ("crontab", {"crontab"}),
        ("JSON and HTTP words in a sentence", set()),
        ("plain words only", set()),
    ],
)
def test_identifiers_are_told_from_words(question: str, symbols: set[str]) -> None:
    assert set(Subject.of(question).symbols) == symbols


@pytest.mark.parametrize(
    ("question", "kinds"),
    [
        ("tests of the parser", {"test"}),
        ("unit test of chords", {"test"}),
        ("where are the tests that cover retries", {"test"}),
        ("guide to routing tasks", {"doc"}),
        ("which docs tell about retries", {"doc"}),
        ("examples with two workers", {"example"}),
        ("where is the test client made", set()),
        ("test for equality", set()),
        ("add tests for the parser", set()),
        ("the docs link is broken", set()),
        ("how is the configuration read", set()),
        ("how are tasks retried", set()),
    ],
)
def test_what_kind_of_file_a_question_plainly_asks_for(question: str, kinds: set[str]) -> None:
    assert Subject.of(question).wants == kinds


@pytest.mark.parametrize("part", ["a", "aA", "a_", "a.", "a/", ":1", "`", "a.b.", "Error: ", "\\", '"', "()"])
def test_the_longest_question_is_read_at_once(part: str) -> None:
    question = (part * 10_000)[:10_000]
    began = time.process_time()
    subject = Subject.of(question)
    subject.names_file("src/" * 50 + "a.py")
    assert time.process_time() - began < 1.0
