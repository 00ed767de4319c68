"""What a test scripts, as data: the responses of participants, and the inputs of the saga."""
