"""Measurements of the service beside its peers, on stores of their own: docs/benchmarks.md."""
