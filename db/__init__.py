"""The only SQL of the house: tables, rows, statements and connections. Nothing here knows GraphQL or Redis."""
