"""The order, inventory and shipping services, and how payment and notification react to orders."""
