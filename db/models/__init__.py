"""Tables (SQLAlchemy Core) and row classes, one module per slice. Importing this package fills `metadata`."""

from db.models import access, agents, conversations, events, ingest, runs, tasks, usage
from db.models.base import metadata

__all__ = ["access", "agents", "conversations", "events", "ingest", "metadata", "runs", "tasks", "usage"]
