"""Numbers in, numbers out: estimates, tests, intervals and plans, with their sources."""
