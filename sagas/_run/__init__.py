"""State of one workflow run that all parts of the saga scope share."""
