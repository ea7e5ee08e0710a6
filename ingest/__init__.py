"""Importers: bytes of a source → records for domain's writer. One package per format, one loop for all (ingest.run)."""
