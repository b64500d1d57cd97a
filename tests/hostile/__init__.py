"""Hostile programs, one an attack, each run in the real sandbox."""
