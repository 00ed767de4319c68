"""Settings and the objects that settings name."""
