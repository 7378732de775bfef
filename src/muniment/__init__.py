"""Muniment: a live, searchable index of a team's repositories and a common memory for its agents."""

__version__ = "0.1.0"
