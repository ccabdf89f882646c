"""Does a sequence of brackets stay bounded or grow, as far as one sees?"""

from __future__ import annotations

import math
from collections.abc import Mapping

_GROWN = 2.0
"""Diverging: the lower end at the largest m exceeds the upper end at the smallest so many times."""
_SETTLED = 1.25
"""Bounded: the upper end at the largest m exceeds every earlier lower end at most so many times."""


def tendency(brackets: Mapping[int, tuple[float, float]]) -> bool | None:
    """Of (lower, upper) ends by m: True where they are bounded as far as one sees, False where they grow.

    None where that is unclear. Growing: infinite at the largest m, or twice what it was at the smallest; bounded: at
    most 1.25 times the largest before. Finitely many m prove nothing about a limit. Raises ValueError for fewer than
    two m.
    """
    if len(brackets) < 2:
        raise ValueError(f"brackets: at least two m are needed, got {len(brackets)}")
    *earlier, last = (brackets[m] for m in sorted(brackets))
    if math.isinf(last[0]) or last[0] > _GROWN * earlier[0][1]:
        return False
    return True if last[1] <= _SETTLED * max(lower for lower, _ in earlier) else None
