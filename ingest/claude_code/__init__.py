"""Claude Code's transcripts: where they lie (files), what a line is (rows), what it means (reader)."""
