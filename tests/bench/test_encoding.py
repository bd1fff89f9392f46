"""The bench of the encoder: ratios by hand."""

from __future__ import annotations

from bench.encoding import HEADS, LIBRARY, summary


def test_ratios_are_those_of_the_same_part() -> None:
    def part(seconds: float, cpu: float) -> dict[str, float]:
        return {"seconds": seconds, "cpu": cpu, "peak_mib": 900}

    exact = {"cosine": 1.0, "overlap": 1.0}
    found = {
        LIBRARY: {"parts": [part(4, 2), part(9, 3), part(6, 2)], **exact},
        "fp32": {"parts": [part(2, 1), part(3, 1), part(1, 1)], **exact},
        "bf16": {"parts": [], "refused": "no AMX"},
    }
    rows = dict(zip(found, summary(found, [100, 100, 100]), strict=True))
    # 300 texts in 6 s and 3 s of CPU; 4/2, 9/3 and 6/1 times as fast, 2, 3 and 2 times as lean
    assert rows["fp32"] == ("fp32", "50", "3.00", "2.00-6.00", "10.00", "2.00", "1.00000", "1.000", "900", "")
    assert rows[LIBRARY][2] == "1.00"
    assert rows["bf16"][0] == "bf16"
    assert rows["bf16"][-1] == "no AMX"
    assert {len(row) for row in rows.values()} == {len(HEADS)}
