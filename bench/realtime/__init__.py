"""Subscriptions, measured beside Node's usual way: fan-out, latency, memory, and how fast events can be written."""
