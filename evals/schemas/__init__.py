"""JSON Schemas of every document that is read or written."""
