"""The explorer: what a browser gets, under which policy, and what the page says while it has no files."""
