"""The real-event bench: every set of recordings here under every method, on the same bins and splits.

``sets`` says what is learned, ``methods`` how, ``part`` does one of each for one seed in a process of its own, and
``bench`` runs what is missing and makes one table of all.
"""
