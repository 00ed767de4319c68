"""Names and models in histories, headers, memos, signals, updates and failures: the wire format of sagas."""
