"""Numbers: rigorous enclosures, norms and simulations."""
