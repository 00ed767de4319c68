"""What the history of a saga tells, without running any of its code."""
