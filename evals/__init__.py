"""Tell whether a change to a coding agent's prompt made it better or worse."""

__version__ = "0.1.0"
