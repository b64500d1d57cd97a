"""Sandboxes: where untrusted code runs. One file per kind; each offers `create()`."""
