"""Stacks: what a task is built with. One file per kind; each offers `create(environments)`."""
