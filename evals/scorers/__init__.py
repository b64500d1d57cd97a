"""Scorers: workspace in, scores out. One file per kind; each offers `create(environments)`."""
