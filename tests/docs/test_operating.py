"""docs/operating.md names every metric that the server has, and every alert that is made of them.

That each alert has its section, and says where it is, is held by tests/deploy/test_monitoring.py as
it is rendered; here it is the source, which needs no kustomize.
"""

import re
import urllib.request

import yaml
from pages import PAGES, ROOT, rows

PAGE = "docs/operating.md"


def described():
    """Each metric of the table, with its type."""
    found = {}
    for names, kind, _labels, _text in rows(PAGE, 4):
        for name in re.findall(r"`(gcs_uploader_\w+)`", names):
            assert name not in found, f"{name} is there twice"
            found[name] = kind
    return found


def registered():
    """Every name that src/telemetry/metrics.rs registers, as it is on the page."""
    source = (ROOT / "src" / "telemetry" / "metrics.rs").read_text()
    plain = re.findall(r'\bregister\(\s*"(\w+)"', source)
    with_unit = re.findall(r'\bregister_with_unit\(\s*"(\w+)",\s*"[^"]*",\s*Unit::(\w+)', source)
    names = plain + [f"{name}_{unit.lower()}" for name, unit in with_unit]
    assert len(names) == source.count(".register(") + source.count(".register_with_unit(")
    return {f"gcs_uploader_{name}" for name in names}


def test_the_table_has_every_metric_of_the_server_and_no_other():
    assert described().keys() == registered()


def test_a_running_servers_metrics_have_the_types_of_the_table(server):
    upload = urllib.request.Request(f"http://{server}/api/upload-random?size=1KiB", method="POST")
    urllib.request.urlopen(upload, timeout=60).close()
    with urllib.request.urlopen(f"http://{server}/metrics", timeout=60) as answer:
        page = answer.read().decode()
    exposed = dict(re.findall(r"^# TYPE (\w+) (\w+)$", page, re.MULTILINE))
    assert len(exposed) > 10
    assert exposed.items() <= described().items()


def test_every_alert_has_a_section_and_every_section_an_alert():
    rules = yaml.safe_load(
        (ROOT / "kustomize" / "components" / "alerts" / "prometheusrule.yaml").read_text()
    )
    alerts = [rule["alert"] for group in rules["spec"]["groups"] for rule in group["rules"]]
    sections = re.findall(r"^### (\w+)$", PAGES[PAGE].prose, re.MULTILINE)
    assert sorted(sections) == sorted(alerts)


def test_every_panel_that_is_named_is_on_the_dashboard():
    (dashboard,) = (ROOT / "kustomize" / "components" / "dashboard").glob("*.json")
    text = dashboard.read_text()
    for panel in re.findall(r"“([^”]+)”", PAGES[PAGE].prose):
        assert f'"{panel}"' in text, panel


def test_every_outcome_of_an_upload_is_named():
    """The outcomes in src/server/uploads."""
    source = "".join(path.read_text() for path in (ROOT / "src" / "server" / "uploads").glob("*.rs"))
    counted = set(re.findall(r'&problem::\w+, "([a-z-]+)"\)', source))
    counted |= set(re.findall(r'outcome: "([a-z-]+)"', source))
    counted |= set(re.findall(r'upload_ended\("([a-z-]+)"', source)) | {"stored", "replayed"}
    assert len(counted) > 12
    text = PAGES[PAGE].prose
    assert [outcome for outcome in counted if f"`{outcome}`" not in text] == []
