"""Runs everything in turns, and writes docs/performance.md and its picture."""

import argparse
import json
import os
import shutil
import sys
from collections import defaultdict
from pathlib import Path

from . import report, scenes
from .measure import measure, measure_tool, prove, soak
from .picture import draw
from .rivals import BENCHES, BINARY, OURS, SERVERS, TOOLS

DOCS = BENCHES.parent / "docs"
RESULTS = BENCHES / "results.json"
LABELS = {one.name: one.label for one in [*SERVERS, *TOOLS]}


def options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of each run")
    parser.add_argument("--gib", type=float, default=4, help="that each tool moves")
    parser.add_argument("--only", default="", help="scenes, by the beginnings of their names; writes nothing")
    parser.add_argument("--servers", default="", help="of whom; writes nothing")
    return parser.parse_args()


def wanted(name, choice):
    return not choice or any(name.startswith(beginning) for beginning in choice.split(","))


def plan(asked):
    """Whom to measure in what, in this order, again in each round."""
    for scene, tools in scenes.RUN:
        for tool in tools:
            if wanted(scene.name, asked.only) and wanted(tool.name, asked.servers):
                yield scene, tool, lambda scene=scene, tool=tool: measure_tool(tool, scene, asked.gib)
    for scene, servers in scenes.SERVED:
        for server in servers:
            if wanted(scene.name, asked.only) and wanted(server.name, asked.servers):
                yield scene, server, lambda scene=scene, server=server: measure(server, scene, asked.seconds)


def run_all(asked):
    results = defaultdict(lambda: defaultdict(list))
    for number in range(asked.rounds):
        for scene, rival, run in plan(asked):
            outcome = run()
            results[scene.name][rival.name].append(outcome)
            said = ", ".join(f"{key} {value:.2f}" for key, value in outcome.items() if value is not None)
            print(f"round {number + 1}/{asked.rounds}  {scene.name}  {rival.name}: {said}", flush=True)
    return results


def in_order(results):
    """As the servers are listed, the tools behind."""
    order = list(LABELS)
    return {name: results[name] for name in sorted(results, key=order.index)}


def write(results, steps, asked):
    tables = [
        report.table(scene, in_order(results[scene.name]), LABELS, reference and reference.name)
        for scene, reference in scenes.TABLES
    ]
    tables.append(report.scaling([(n, results[scene.name]["ours"]) for n, scene in scenes.SCALE.items()]))
    tables.append(report.endurance(steps))
    started = report.cell([run for runs in results.values() for run in runs.get("ours", [])], "started", 1)
    facts = [
        f"{asked.rounds} rounds in turns, {asked.seconds} s a run, {os.cpu_count()} processors. Each cell: the median "
        "(least–most).",
        f"The binary has {BINARY.stat().st_size / 1e6:.2f} MB; from its start to its first healthy answer: {started} ms.",
    ]
    text = "\n\n".join(["\n".join(facts), *tables])
    page = DOCS / "performance.md"
    page.write_text(report.insert(page.read_text(), text))
    by_size = {n: in_order(results[scene.name]) for n, scene in scenes.SIZES.items()}
    draw(by_size, in_order(results[scenes.BUSY.name]), LABELS, DOCS / "performance.svg")


def main():
    asked = options()
    for program in ("wrk", "curl"):
        if shutil.which(program) is None:
            sys.exit(f"{program} is not installed: on Debian, apt-get install {program}")
    for server in SERVERS:
        if wanted(server.name, asked.servers):
            prove(server)
    results = run_all(asked)
    if asked.only or asked.servers:
        return
    steps = soak(OURS, uploads=100_000, steps=10)
    RESULTS.write_text(json.dumps({"results": results, "soak": steps}, indent=1))
    write(results, steps, asked)
    print(f"written: {DOCS / 'performance.md'} and its picture")


main()
