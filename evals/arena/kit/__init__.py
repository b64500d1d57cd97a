"""What acceptance checks are written with.

A check is a function `test_...` in `tests/checks_*.py` of a task. Fixtures: `service` (an instance that
checks share), `start` (instances of one's own), `mail` (the mail sink), `data` (random values from the
trial's seed). Helpers: `expect`, `fuzz`, `probe`.
"""

from evals.arena.kit import expect, fuzz, probe
from evals.arena.kit.channel import ArenaError, Channel
from evals.arena.kit.data import Data
from evals.arena.kit.mail import Mail
from evals.arena.kit.service import Service, Start, stops, together, wait_until

__all__ = [
    "ArenaError",
    "Channel",
    "Data",
    "Mail",
    "Service",
    "Start",
    "expect",
    "fuzz",
    "probe",
    "stops",
    "together",
    "wait_until",
]
