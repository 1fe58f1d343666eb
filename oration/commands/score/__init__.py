"""`oration score`: four measurements of a model, each a table with 95 % intervals, a page and a JSON file."""
