"""Pure rules of a saga: ledger, lifecycle, ids and outcomes, without I/O, clock or Temporal."""
