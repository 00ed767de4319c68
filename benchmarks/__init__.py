"""What sagas cost, as ratios of what the same work costs without them."""
