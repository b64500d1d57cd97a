"""How many calls are under way at once: fewer when the API is busy, slowly more when it is not.

Additive increase, multiplicative decrease (Chiu and Jain, 1989), and a pause that all calls keep together.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio


class Throttle:
    """Lets at most `most` calls through, and as few as one after refusals."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.limit = float(most)
        self._running = 0
        self._changed = anyio.Condition()
        self._not_before = 0.0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a free place, and keep it for a call."""
        async with self._changed:
            while self._running >= int(self.limit):
                await self._changed.wait()
            self._running += 1
        try:
            await anyio.sleep_until(self._not_before)
            yield
        finally:
            self._running -= 1
            with anyio.CancelScope(shield=True):
                async with self._changed:
                    self._changed.notify_all()

    def went_well(self) -> None:
        """A call was answered: one more at a time, once as many as now have been."""
        self.limit = min(float(self._most), self.limit + 1 / self.limit)

    def refused(self, pause: float) -> None:
        """The API is busy: half as many, and none for so many seconds."""
        self.limit = max(1.0, self.limit / 2)
        self._not_before = max(self._not_before, anyio.current_time() + pause)
