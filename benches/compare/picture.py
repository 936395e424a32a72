"""The picture: throughput and cost over the objects' size, and health under load."""

import matplotlib

matplotlib.use("Agg")
matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "gcs-uploader", "font.size": 9})

import matplotlib.pyplot as plt  # noqa: E402

from .report import median_of  # noqa: E402

COLOURS = {"ours": "#1a73e8", "axum-tuned": "#e8710a", "axum": "#f6b26b", "flask": "#9aa0a6", "flask-2x8": "#5f6368"}


def size_name(size):
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"


def over_size(axes, by_size, labels, key, title):
    sizes = sorted(by_size)
    for name in by_size[sizes[0]]:
        axes.plot(
            range(len(sizes)),
            [median_of(by_size[size][name], key) for size in sizes],
            marker="o",
            label=labels[name],
            color=COLOURS[name],
        )
    axes.set_xticks(range(len(sizes)), [size_name(size) for size in sizes], rotation=30)
    axes.set_yscale("log")
    axes.set_title(title)
    axes.grid(alpha=0.3)


def draw(by_size, busy, labels, file):
    figure, (throughput, cost, health) = plt.subplots(1, 3, figsize=(12, 3.8))
    over_size(throughput, by_size, labels, "mbs", "MB/s, 8 clients")
    over_size(cost, by_size, labels, "cpu_gib", "CPU s/GiB, 8 clients")
    throughput.legend()
    names = list(busy)
    health.barh(
        [labels[name] for name in names],
        [median_of(busy[name], "health_p99") for name in names],
        color=[COLOURS[name] for name in names],
    )
    health.set_xscale("log")
    health.invert_yaxis()
    health.set_title("GET /api/health, p99 in ms,\nwhile 32 uploads of 64 MiB run")
    health.axvline(10, color="black", linewidth=0.8, linestyle=":")
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)
