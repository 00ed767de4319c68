"""State of one workflow run, shared by all parts of the saga scope."""
