"""Which file answers best. Pure: scores and kinds in, an order out.

A file is judged by all its matching chunks, not by its best alone. The lists of words and of vectors are joined by
relative score: fusion by rank alone forgets by how much the first is better, and the weaker list then drags it down.
What a rule is worth stands in ``weights``, and there alone.
"""

from muniment.ranking.demotion import demotion, likeness
from muniment.ranking.fusion import Candidate, decayed, lifted, ordered, rank, shares
from muniment.ranking.subject import QuestionType, Subject
from muniment.ranking.weights import PLAIN, RULES, WEIGHTS, Rule, Weights, without

__all__ = [
    "PLAIN",
    "RULES",
    "WEIGHTS",
    "Candidate",
    "QuestionType",
    "Rule",
    "Subject",
    "Weights",
    "decayed",
    "demotion",
    "lifted",
    "likeness",
    "ordered",
    "rank",
    "shares",
    "without",
]
