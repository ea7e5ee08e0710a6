"""How an operation runs: field declarations, documents, execution, HTTP and WebSocket.

Generic: it imports none of our other packages; app gives it the schema, authentication and a context.
"""
