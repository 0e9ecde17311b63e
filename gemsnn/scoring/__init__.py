"""What a network is worth: compartments run with fixed weights, and what is made of their answers."""
