"""Reads `agents/` and `fixtures/`: what there is, and what identifies it."""
