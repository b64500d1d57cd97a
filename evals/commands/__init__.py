"""What the commands do: one function each, from typed requests to typed results."""
