"""Statements of the one writer (domain.writer): each takes a whole batch, as one array per column.

So a batch costs the same number of statements whatever its size. What is merged with what is decided in domain.
"""
