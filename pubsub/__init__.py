"""The only Redis: topics, wire format, broadcast backend, the bus that publishes and the hub that reads.

Events are written by db; here they are only told. It knows db by the protocols in events.py and hub.py alone.
"""
