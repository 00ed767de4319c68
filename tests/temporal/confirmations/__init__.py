"""Confirmations of reservations: try, confirm, cancel."""
