"""Batching only: plain functions that answer once per key, in key order. No rules, no GraphQL."""
