"""Ways out of the house: what other libraries read, and what of theirs is read."""
