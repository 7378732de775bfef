"""Answers a question about the files of projects: words and vectors, fused into one list with one hit per file.

A part that is away makes the answer poorer and is named in it; it never makes it an error.
"""

from muniment.search.asking import MAX_CONTEXT
from muniment.search.candidates import FILES_RANKED
from muniment.search.filters import Filters
from muniment.search.fitting import CHARACTERS_A_TOKEN, LEAST_TOKENS, MOST_TOKENS, fit, shorter
from muniment.search.meaning import SLOTS_ASKED, VECTOR_QUERIES
from muniment.search.model import MAX_LIMIT, FilePlace, Place, RelatedOutcome, SearchHit, SearchOutcome
from muniment.search.questions import MAX_QUESTION
from muniment.search.searcher import Search

__all__ = [
    "CHARACTERS_A_TOKEN",
    "FILES_RANKED",
    "LEAST_TOKENS",
    "MAX_CONTEXT",
    "MAX_LIMIT",
    "MAX_QUESTION",
    "MOST_TOKENS",
    "SLOTS_ASKED",
    "VECTOR_QUERIES",
    "FilePlace",
    "Filters",
    "Place",
    "RelatedOutcome",
    "Search",
    "SearchHit",
    "SearchOutcome",
    "fit",
    "shorter",
]
