"""The history of the schema. Alembic loads what lies here; nothing else imports it."""
