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
    """Marks the cases of a sampled test as thorough, except one in `every`: the first, and so on as collected."""
    seen: Counter[str] = Counter()
    for item in items:
        mark = item.get_closest_marker("sampled")
        if mark is None:
            continue
        test = item.nodeid.partition("[")[0]
        if seen[test] % mark.args[0]:
            item.add_marker(pytest.mark.thorough)
        seen[test] += 1
