"""Execution of one activity: a single call, and retries until the activity is done."""
