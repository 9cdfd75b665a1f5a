"""Marks that tests get by rule: `real_data` from the fixture, `thorough` from `sampled`."""

from collections import Counter
from collections.abc import Sequence

import pytest


def mark_real_data(items: Sequence[pytest.Item]) -> None:
    """Marks every test that uses the fixture `real_data`."""
    for item in items:
        if "real_data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.real_data)


def mark_thorough(items: Sequence[pytest.Item]) -> None:
    """Marks as thorough all cases of a sampled test but one in `every`, in the order of collection; the first is kept."""
    seen: Counter[str] = Counter()
    for item in items:
        mark = item.get_closest_marker("sampled")
        if mark is None:
            continue
        test = item.nodeid.partition("[")[0]
        if seen[test] % mark.args[0]:
            item.add_marker(pytest.mark.thorough)
        seen[test] += 1
