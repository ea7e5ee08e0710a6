"""What a field means: validation and the order of steps. Rows in, rows out, plain errors; no GraphQL."""
