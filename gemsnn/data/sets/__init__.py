"""Data sets by name: what each is, how to obtain it, and where its recordings lie in its files."""
