"""docs/http-api.md and the server's own description name the same paths, parameters and problems."""

import json
import re
import urllib.request

import pytest
from pages import PAGES, rows

PAGE = "docs/http-api.md"


@pytest.fixture(scope="module")
def api(server):
    with urllib.request.urlopen(f"http://{server}/api/openapi.json", timeout=60) as answer:
        return json.load(answer)


def test_the_page_has_every_operation_and_no_other(api):
    operations = {
        (method.upper(), path)
        for path, item in api["paths"].items()
        for method in item
        if method not in {"parameters", "head"}
    }
    described = set()
    for methods, path in re.findall(r"^\| `([A-Z`, ]+) (/[^ ?`]*)", PAGES[PAGE].prose, re.MULTILINE):
        described |= {(method, path) for method in re.findall(r"[A-Z]+", methods)}
    assert described == operations


def test_the_table_of_errors_has_every_type_with_its_status(api):
    types = api["components"]["schemas"]["ProblemType"]["oneOf"]
    known = {kind["const"].rsplit(":", 1)[1]: kind["description"] for kind in types}
    table = [row for row in rows(PAGE, 3) if re.fullmatch(r"\d{3}", row[1])]
    assert {row[0].strip("`"): row[1] for row in table} == known
    assert len(table) == len(known)


def test_every_parameter_is_named(api):
    for parameter in api["components"]["parameters"].values():
        name = parameter["name"]
        assert f"`{name}`" in PAGES[PAGE].prose or name == "User-Agent", name


def test_the_answer_that_is_shown_has_the_members_of_the_schema(api):
    shown = [json.loads(block.text) for block in PAGES[PAGE].blocks if block.language == "json"]
    created = next(answer for answer in shown if "generation" in answer)
    schemas = api["components"]["schemas"]
    assert created.keys() == schemas["Stored"]["properties"].keys() | schemas["Created"]["properties"]
