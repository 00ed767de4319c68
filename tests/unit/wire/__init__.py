"""The models of headers, memos, signals and continued state."""
