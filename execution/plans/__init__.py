"""Compiled plans: an operation as specialised Python functions that work on a whole level of parents at once.

`selections` merges what a document selects, `leaves` says how values become JSON, `compiler` writes the functions
(the only file that runs generated code), `run` holds what one execution has read, `plan` runs a plan, and
`service` decides between plan and graphql-core, which has the last word on whatever a plan does not do exactly.
"""
