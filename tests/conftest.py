"""Settings shared by all tests."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small arrays are faster on one thread

from hypothesis import HealthCheck, settings

from tests.browser import chromium, visit  # one browser for all tests of a process: it allows no second

__all__ = ["chromium", "visit"]

# The time of one example depends on the machine; derandomized, a failure can be repeated.
settings.register_profile(
    "stablessm", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], max_examples=100
)
settings.load_profile("stablessm")
