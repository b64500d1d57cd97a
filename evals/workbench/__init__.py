"""What runs inside the sandbox of a solver: its tools, and the supervisor that keeps them going.

It is mounted into the sandbox beside `evals.arena`, and uses the standard library alone.
"""
