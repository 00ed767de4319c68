"""Signal and update handlers of a saga: external events, approvals and operator verbs."""
