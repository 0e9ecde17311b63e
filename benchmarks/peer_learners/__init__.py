"""Other methods as learners of ``real_peers.py``: each is shown batches of recordings, and answers them.

Only torch and numpy are imported here, and by :mod:`peer_learners.backpropagated` snnTorch: its learners run in the
peers' environment, at the other end of a pipe (:mod:`peer_learners.remote`), the others in the project's own.
"""
