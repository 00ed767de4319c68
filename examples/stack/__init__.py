"""Runs an example as processes on this machine, starts sagas in both styles, and reads their end state."""
