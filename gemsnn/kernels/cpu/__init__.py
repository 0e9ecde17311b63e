"""The cpu kernel, compiled by numba."""
