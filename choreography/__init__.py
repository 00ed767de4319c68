"""Participants that own their data: the unit of work, the fence, and (soon) the events between them."""
