"""Inside a workflow: the scope of a saga, and everything that runs in it."""
