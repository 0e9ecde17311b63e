"""Online learning rules, and the optimisers that take their directions."""
