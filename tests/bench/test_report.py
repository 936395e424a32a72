"""Tests of the benchmark's report: the page must state the figures that were measured."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benches"))

from compare import report  # noqa: E402
from compare.measure import Scenario, parse  # noqa: E402

SMALL = Scenario("small", "small ones", 1024, 8)
RUNS = {
    "ours": [{"rate": rate, "cpu_1000": cost, "mbs": 1.0} for rate, cost in ((900, 0.2), (1100, 0.1), (1000, 0.3))],
    "peer": [{"rate": 500, "cpu_1000": 0.4, "mbs": 1.0}],
}
LABELS = {"ours": "Ours", "peer": "A peer"}


def test_result_is_parsed_from_the_last_line_of_wrk():
    output = 'Running 1s test\n  1 threads\n\nRESULT {"requests": 7, "seconds": 1.0}\n'
    assert parse(output) == {"requests": 7, "seconds": 1.0}


def test_wrk_output_without_a_result_is_an_error():
    with pytest.raises(ValueError, match="no result"):
        parse("unable to connect to 127.0.0.1:1 Connection refused\n")


def test_cell_has_the_median_and_the_range():
    assert report.cell(RUNS["ours"], "rate", 0) == "1,000 (900–1,100)"
    assert report.cell(RUNS["peer"], "cpu_1000", 2) == "0.40"
    assert report.cell(RUNS["peer"], "p99", 1) == ""


def test_table_has_ratios_to_its_reference():
    lines = report.table(SMALL, RUNS, LABELS, "peer").splitlines()
    assert lines[2] == "| | uploads/s | CPU s/1000 | CPU × | rate × |"
    assert lines[4] == "| Ours | 1,000 (900–1,100) | 0.20 (0.10–0.30) | 0.50 | 2.00 |"
    assert lines[5] == "| A peer | 500 | 0.40 | 1.00 | 1.00 |"


def test_table_without_a_reference_has_no_ratios():
    assert "×" not in report.table(SMALL, RUNS, LABELS, "nobody")


def test_new_tables_replace_the_previous_ones():
    page = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    once = report.insert(page, "new")
    assert "old" not in once and "new" in once
    assert report.insert(once, "new") == once
    assert once.startswith("before\n") and once.endswith("\nafter\n")


def test_inserting_into_a_page_without_markers_is_an_error():
    with pytest.raises(ValueError):
        report.insert("no place", "new")
