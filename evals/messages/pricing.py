"""Tokens by kind, and what they cost. Prices come from `genai-prices`, whose data ship with the package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from typing import Any

BATCH_FACTOR = 0.5
"""What the Message Batches API costs beside single calls (the API's documentation, "Batch processing")."""


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Token counts. `input` is what was neither read from the cache nor written to it."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(**{name: count + getattr(other, name) for name, count in asdict(self).items()})

    @property
    def prompt(self) -> int:
        """All that was sent."""
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h

    @property
    def cache_hit_share(self) -> float:
        """The part of what was sent that was read from the cache, 0 to 1."""
        return self.cache_read / self.prompt if self.prompt else 0.0

    def as_dict(self) -> dict[str, int]:
        """By name, for a document."""
        return asdict(self)


def tokens_of(usage: Mapping[str, Any]) -> Tokens:
    """The counts of a `usage` object of the API."""
    written = usage.get("cache_creation_input_tokens") or 0
    hour = (usage.get("cache_creation") or {}).get("ephemeral_1h_input_tokens") or 0
    return Tokens(
        input=usage.get("input_tokens") or 0,
        output=usage.get("output_tokens") or 0,
        cache_read=usage.get("cache_read_input_tokens") or 0,
        cache_write_5m=max(0, written - hour),
        cache_write_1h=hour,
    )


@dataclass(frozen=True, kw_only=True)
class Prices:
    """What a model costs. `snapshot` is kept with each trial: where the prices come from, and what they are."""

    model: str
    snapshot: str

    def cost(self, tokens: Tokens, *, batch: bool = False) -> float:
        """US dollars."""
        from genai_prices import Usage, calc_price

        usage = Usage(
            input_tokens=tokens.prompt,
            output_tokens=tokens.output,
            cache_read_tokens=tokens.cache_read,
            cache_write_tokens=tokens.cache_write_5m + tokens.cache_write_1h,
            cache_write_1h_tokens=tokens.cache_write_1h,
        )
        total = float(calc_price(usage, self.model, provider_id="anthropic").total_price)
        return total * (BATCH_FACTOR if batch else 1)

    def affordable_output(self, dollars: float, prompt: int) -> int:
        """Output tokens that so many dollars buy after a prompt of which nothing is read from the cache."""
        rest = dollars - self.cost(Tokens(cache_write_5m=prompt))
        # A prompt in reach of the price's upper tier is charged by it, output included.
        rate = self.cost(Tokens(cache_write_5m=prompt, output=1_000_000)) - self.cost(Tokens(cache_write_5m=prompt))
        return max(0, int(rest / rate * 1_000_000))


@cache
def prices_of(model: str) -> Prices | None:
    """The prices of a model, or None where they are not known."""
    from genai_prices import Usage, calc_price

    try:
        found = calc_price(Usage(input_tokens=1), model, provider_id="anthropic")
    except LookupError:
        return None
    return Prices(
        model=model, snapshot=f"genai-prices {version('genai-prices')}: {found.model.id}, {found.model_price}"
    )
