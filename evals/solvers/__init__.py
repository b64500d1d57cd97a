"""Solvers: turn (revision, task, stack, epoch) into files. One file per kind; each offers `create`."""
