"""Random values from the trial's seed: nothing can be special-cased, and a rerun is the same."""

from __future__ import annotations

import random
import string


class Data:
    """Values for one check; the same seed and check give the same values in the same order."""

    def __init__(self, seed: str, check: str) -> None:
        self.random = random.Random(f"{seed}/{check}")  # noqa: S311 (repeatable on purpose)

    def word(self, length: int = 8) -> str:
        """Lower-case letters."""
        return "".join(self.random.choices(string.ascii_lowercase, k=length))

    def email(self) -> str:
        """An address in lower case, new each time."""
        return f"{self.word(6)}.{self.word(6)}{self.random.randrange(1000)}@{self.word(5)}.example.com"

    def password(self, length: int = 16) -> str:
        """Letters and digits, at least one of each; at least 12 characters by default."""
        body = "".join(self.random.choices(string.ascii_letters + string.digits, k=length - 2))
        return f"k{body}7"

    def name(self) -> str:
        """A person's name."""
        return f"{self.word(5).title()} {self.word(7).title()}"

    def key(self) -> str:
        """An idempotency key."""
        return f"key-{self.word(20)}"
