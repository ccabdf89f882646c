"""The claims, the routes that check them, and the ledger that reports on them."""
