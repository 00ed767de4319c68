"""The payment and notification services: tables, business code, and reactions to events."""
