"""How fast the kernels are, and what they need: ``gemsnn bench``.

``cases`` says what is measured, ``measure`` measures one case in a process of its own, ``suite`` runs many and
compares them, ``figures`` draws them.
"""
