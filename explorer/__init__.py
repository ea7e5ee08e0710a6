"""The explorer: GraphiQL for a browser at /graphql, served by us and built from explorer/src.

Owns the page, its files and their security policy, and the build. Must not know the schema or run an operation.
"""

from explorer.page import Explorer
from explorer.ticket import TicketExchange

__all__ = ["Explorer", "TicketExchange"]
