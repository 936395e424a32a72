"""The scenarios, and which servers and tools run each."""

from .competitors import AHEAD, BASELINE_CRC, CURL, FLASK, FLASK_THREADS, OURS, PLAIN, TOOLS, TUNED
from .measure import Scenario

KIB, MIB = 1 << 10, 1 << 20

LARGE = Scenario("large", "64 MiB objects, 4 clients", 64 * MIB, 4)
LARGE_TLS = Scenario("large-tls", "64 MiB objects, 4 clients, TLS to the store", 64 * MIB, 4, tls=True)
SMALL = {n: Scenario(f"small-{n}", f"1 KiB objects, {n} clients", KIB, n) for n in (1, 8, 32)}
SMALL_TLS = Scenario("small-tls", "1 KiB objects, 8 clients, TLS to the store", KIB, 8, tls=True)
FAR = Scenario("far", "1 KiB objects, 32 clients, the store responds after 20 ms", KIB, 32, latency=20)
BUSY = Scenario("busy", "64 MiB objects, 32 clients, and one client of /api/health", 64 * MIB, 32, health=True)
CROWD = Scenario(
    "crowd",
    "64 MiB objects, 256 clients, and one client of /api/health (WORKERS=256)",
    64 * MIB,
    256,
    health=True,
    settings=(("WORKERS", "256"),),
)
SIZES = {n: Scenario(f"size-{n}", "", n, 8) for n in (KIB, 64 * KIB, MIB, 16 * MIB)}
SCALE = {
    n: Scenario(f"scale-{n}", "", KIB, n, settings=(("QUEUE_DEPTH", "512"),))
    for n in (1, 4, 16, 64, 128, 256)
}

ALL = [OURS, FLASK, FLASK_THREADS, PLAIN, TUNED]
SERVED = [
    (LARGE, ALL),
    (LARGE_TLS, [OURS]),
    (SMALL[1], [OURS, TUNED]),
    (SMALL[8], ALL),
    (SMALL[32], [OURS, TUNED]),
    (SMALL_TLS, [OURS]),
    (FAR, [AHEAD, *ALL]),
    (BUSY, ALL),
    (CROWD, [OURS]),
    *[(scenario, [OURS, TUNED, FLASK_THREADS]) for scenario in SIZES.values()],
    *[(scenario, [OURS]) for scenario in SCALE.values()],
]
RUN = [(LARGE, TOOLS), (LARGE_TLS, TOOLS)]

# The tables, each with the competitor that its ratios refer to.
TABLES = [
    (LARGE, BASELINE_CRC),
    (LARGE_TLS, CURL),
    (SMALL[1], TUNED),
    (SMALL[8], TUNED),
    (SMALL[32], TUNED),
    (SMALL_TLS, None),
    (FAR, OURS),
    (BUSY, TUNED),
    (CROWD, None),
]
