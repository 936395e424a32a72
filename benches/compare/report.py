"""Tables of the results: medians, minima and maxima."""

from statistics import median

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

# The columns: title, key in a run's result, and decimal places.
COLUMNS = [
    ("uploads/s", "rate", 0),
    ("MB/s", "mbs", 0),
    ("CPU s/GiB", "cpu_gib", 2),
    ("CPU s/1000", "cpu_1000", 2),
    ("p50 ms", "p50", 1),
    ("p99 ms", "p99", 1),
    ("peak MiB", "peak", 1),
    ("connections/1000", "connections", 1),
    ("health p99 ms", "health_p99", 1),
]
# Cost per upload is meaningless for large objects, and cost per byte for small ones.
NOT_FOR_LARGE, NOT_FOR_SMALL = {"cpu_1000"}, {"mbs", "cpu_gib"}


def values(runs, key):
    return sorted(run[key] for run in runs if run.get(key) is not None)


def median_of(runs, key):
    """Return the median of the runs' values, or `None` if there are none."""
    found = values(runs, key)
    return median(found) if found else None


def number(value, digits):
    if value is None:
        return ""
    text = f"{value:.{digits}f}"
    return f"{value:,.0f}" if digits == 0 else text


def cell(runs, key, digits):
    """Format the median, with the least and the greatest value."""
    found = values(runs, key)
    if not found:
        return ""
    least, most = number(found[0], digits), number(found[-1], digits)
    text = number(median(found), digits)
    return text if least == most else f"{text} ({least}–{most})"


def ratio(runs, reference, key):
    mine, theirs = median_of(runs, key), median_of(reference, key)
    return f"{mine / theirs:.2f}" if mine and theirs else ""


def columns_of(scenario, results):
    skipped = NOT_FOR_LARGE if scenario.size >= 1 << 20 else NOT_FOR_SMALL
    return [
        column
        for column in COLUMNS
        if column[1] not in skipped and any(values(runs, column[1]) for runs in results.values())
    ]


def table(scenario, results, labels, reference):
    """Format the table of one scenario, with a row per competitor."""
    columns = columns_of(scenario, results)
    cost = "cpu_gib" if scenario.size >= 1 << 20 else "cpu_1000"
    heads = [name for name, _, _ in columns]
    compared = reference in results
    if compared:
        heads += ["CPU ×", "rate ×"]
    lines = [f"**{scenario.title}**", "", "| | " + " | ".join(heads) + " |"]
    lines.append("| --- |" + " --- |" * len(heads))
    for name, runs in results.items():
        cells = [cell(runs, key, digits) for _, key, digits in columns]
        if compared:
            cells += [ratio(runs, results[reference], key) for key in (cost, "rate")]
        lines.append(f"| {labels[name]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def scaling(results):
    """Format the table of gcs-uploader over the number of clients."""
    lines = ["**1 KiB objects, ever more clients: gcs-uploader**", "", "| clients | uploads/s | CPU s/1000 | p99 ms | peak MiB |"]
    lines.append("| --- |" + " --- |" * 4)
    for clients, runs in results:
        cells = [cell(runs, key, digits) for key, digits in (("rate", 0), ("cpu_1000", 2), ("p99", 1), ("peak", 1))]
        lines.append(f"| {clients} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def endurance(steps):
    lines = ["**One long run of 1 KiB objects, 8 clients: gcs-uploader**", "", "| uploads so far | CPU s/1000 | resident MiB |", "| --- | --- | --- |"]
    so_far = 0
    for step in steps:
        so_far += step["uploads"]
        lines.append(f"| {so_far:,} | {step['cpu_1000']:.2f} | {step['memory']:.1f} |")
    return "\n".join(lines)


def insert(document, text):
    """Replace the text between the markers."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no {BEGIN} … {END}")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"
