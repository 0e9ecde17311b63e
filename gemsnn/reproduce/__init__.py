"""Experiments whose claims come out of one command, part by part and resumable."""
