"""What other harnesses load of us, by entry points."""
