"""The order saga without the SDK: the same steps, on plain `temporalio`."""
