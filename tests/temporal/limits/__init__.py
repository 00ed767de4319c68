"""The limits of Temporal servers and of participants: open activities, lengths of ids."""
