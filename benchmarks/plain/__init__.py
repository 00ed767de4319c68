"""The order saga without the SDK: the same steps, written by hand on plain `temporalio`."""
