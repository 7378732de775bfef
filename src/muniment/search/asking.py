"""A question with all that narrows or widens its answer."""

from dataclasses import dataclass
from typing import Final

from muniment.errors import InvalidValue
from muniment.identifiers import question_tokens
from muniment.search.filters import Filters
from muniment.search.model import MAX_LIMIT
from muniment.search.questions import Question, read_question

MAX_CONTEXT: Final = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """``limit``: most files in the answer; ``context``: lines shown around each hit."""

    question: Question
    limit: int
    filters: Filters
    context: int = 0

    @property
    def words(self) -> str:
        return self.question.words

    @property
    def tokens(self) -> list[str]:
        return question_tokens(self.words)


def asked(question: str, limit: int, filters: Filters, context: int = 0) -> Asked:
    """Raises InvalidValue."""
    taken = read_question(question)
    check_limit(limit)
    if not 0 <= context <= MAX_CONTEXT:
        raise InvalidValue("context", context, f"it must lie between 0 and {MAX_CONTEXT}")
    filters.check()
    return Asked(taken, limit, filters, context)


def check_limit(limit: int) -> None:
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidValue("limit", limit, f"it must lie between 1 and {MAX_LIMIT}")
