"""Work that the clock starts: each job holds a lease, so that one process of many does it."""
