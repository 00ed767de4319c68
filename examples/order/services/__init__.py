"""The order, inventory and shipping services, and the reactions of payment and notification to orders."""
