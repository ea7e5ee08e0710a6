"""GraphQL only: types, descriptions, field declarations, row → union member. No SQL, no rules."""
