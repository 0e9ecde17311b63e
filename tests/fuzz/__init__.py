"""Damaged and hostile inputs for everything that reads a user's file; ``make fuzz`` runs a million of them."""
