"""Exact mathematics: what the StableSSM paper says and what follows from it, in SymPy."""
