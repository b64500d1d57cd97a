"""The Messages API as solvers use it: one call with retries, its price, limits, and recorded traffic.

`anthropic` takes a second to import, so it is imported where it is used.
"""
