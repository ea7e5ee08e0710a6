"""claude-loop's folders: runs with metrics, PRDs with stories, progress logs. Files to records; run.py writes them."""
