"""Runs: settings in layers, a network made from them, its training, and the model it leaves."""
