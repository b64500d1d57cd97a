"""Reports: stored data in, text out. One file per kind."""
