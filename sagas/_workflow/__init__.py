"""The saga scope inside a workflow: steps, pivot, children, compensation and continue-as-new."""
