"""Every SQL statement of the house, one module per slice. Rows out; no rules and no GraphQL."""
