"""The rules that mutations and importers share. No GraphQL, no Redis, no SQL text."""
