"""Run all benchmarks in rotation, and write docs/performance.md and its picture."""

import argparse
import json
import os
import shutil
import sys
from collections import defaultdict
from pathlib import Path

from . import report, scenarios
from .competitors import BENCHES, BINARY, OURS, SERVERS, TOOLS
from .measure import measure, measure_tool, soak, verify_uploads
from .picture import draw

DOCS = BENCHES.parent / "docs"
RESULTS = BENCHES / "results.json"
LABELS = {one.name: one.label for one in [*SERVERS, *TOOLS]}


def options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="length of each run")
    parser.add_argument("--gib", type=float, default=4, help="amount of data that each tool uploads")
    parser.add_argument("--only", default="", help="run only scenarios whose names start with one of these; writes nothing")
    parser.add_argument("--servers", default="", help="measure only servers whose names start with one of these; writes nothing")
    return parser.parse_args()


def wanted(name, choice):
    return not choice or any(name.startswith(beginning) for beginning in choice.split(","))


def plan(asked):
    """Yield each scenario and competitor of a round, in order."""
    for scenario, tools in scenarios.RUN:
        for tool in tools:
            if wanted(scenario.name, asked.only) and wanted(tool.name, asked.servers):
                yield scenario, tool, lambda scenario=scenario, tool=tool: measure_tool(tool, scenario, asked.gib)
    for scenario, servers in scenarios.SERVED:
        for server in servers:
            if wanted(scenario.name, asked.only) and wanted(server.name, asked.servers):
                yield scenario, server, lambda scenario=scenario, server=server: measure(server, scenario, asked.seconds)


def run_all(asked):
    results = defaultdict(lambda: defaultdict(list))
    for number in range(asked.rounds):
        for scenario, competitor, run in plan(asked):
            outcome = run()
            results[scenario.name][competitor.name].append(outcome)
            said = ", ".join(f"{key} {value:.2f}" for key, value in outcome.items() if value is not None)
            print(f"round {number + 1}/{asked.rounds}  {scenario.name}  {competitor.name}: {said}", flush=True)
    return results


def in_order(results):
    """Sort results as the servers are listed, followed by the tools."""
    order = list(LABELS)
    return {name: results[name] for name in sorted(results, key=order.index)}


def write(results, steps, asked):
    tables = [
        report.table(scenario, in_order(results[scenario.name]), LABELS, reference and reference.name)
        for scenario, reference in scenarios.TABLES
    ]
    tables.append(report.scaling([(n, results[scenario.name]["ours"]) for n, scenario in scenarios.SCALE.items()]))
    tables.append(report.endurance(steps))
    started = report.cell([run for runs in results.values() for run in runs.get("ours", [])], "started", 1)
    facts = [
        f"{asked.rounds} rounds in rotation, {asked.seconds} s per run, {os.cpu_count()} processors. Each cell: the median "
        "(least–most).",
        f"The binary has {BINARY.stat().st_size / 1e6:.2f} MB; from its start to its first healthy response: {started} ms.",
    ]
    text = "\n\n".join(["\n".join(facts), *tables])
    page = DOCS / "performance.md"
    page.write_text(report.insert(page.read_text(), text))
    by_size = {n: in_order(results[scenario.name]) for n, scenario in scenarios.SIZES.items()}
    draw(by_size, in_order(results[scenarios.BUSY.name]), LABELS, DOCS / "performance.svg")


def main():
    asked = options()
    for program in ("wrk", "curl"):
        if shutil.which(program) is None:
            sys.exit(f"{program} is not installed: on Debian, apt-get install {program}")
    for server in SERVERS:
        if wanted(server.name, asked.servers):
            verify_uploads(server)
    results = run_all(asked)
    if asked.only or asked.servers:
        return
    steps = soak(OURS, uploads=100_000, steps=10)
    RESULTS.write_text(json.dumps({"results": results, "soak": steps}, indent=1))
    write(results, steps, asked)
    print(f"written: {DOCS / 'performance.md'} and its picture")


main()
