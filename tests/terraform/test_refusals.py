"""What a person reads who made a slip: whose entry it is, what is wrong, and what to write instead.

That each slip is refused at all is tested in terraform/tests/; here is what is said.
"""

import pytest

SAID = {
    "a name in capitals": (
        {"Customer-A": {}},
        'The customer name "Customer-A" cannot be used: write 1 to 30 lower-case letters, digits and hyphens',
    ),
    "names that are one after the cut": (
        {"customer-in-upper-austria": {"identity": "key"}, "customer-in-upper-bavaria": {"identity": "key"}},
        "customer-in-upper-austria and customer-in-upper-bavaria (gcs-uploader-customer-in-upper). Choose names that differ earlier",
    ),
    "a namespace that another has": (
        {"customer-a": {}, "customer-b": {"namespace": "gcs-uploader-customer-a"}},
        "customer-a and customer-b (gcs-uploader-customer-a). Set a different namespace for each",
    ),
    "a retention that outlasts the expiry": (
        {"customer-a": {"retention_days": 30, "expire_after_days": 7}},
        "customer-a: expire_after_days (7) ends before retention_days (30): use at least as many days.",
    ),
    "a prefix that reaches its neighbours": (
        {"customer-a": {"object_prefix": "uploads"}},
        'customer-a: object_prefix is "uploads": write folders of letters, digits, dots, underscores and hyphens, each followed by a slash',
    ),
    "a quota that is too small": (
        {"customer-a": {"sizes": {"max_replicas": 8}}},
        'customer-a: sizes.quota_memory ("2Gi") has no room for 9 pods of memory_limit = "256Mi"',
    ),
    "a memory limit that the workers fill": (
        {"customer-a": {"sizes": {"workers": 64}}},
        'customer-a: sizes.memory_limit ("256Mi") has no room for 64 workers: write at least "336Mi"',
    ),
    "a field that there is none of": (
        {"customer-a": {"expire_afterdays": 7}},
        "Unknown field: customer-a.expire_afterdays.",
    ),
    "a size that there is none of": (
        {"customer-a": {"sizes": {"threads": 7}}},
        "Unknown field: customer-a.sizes.threads.",
    ),
    "a number where a list belongs": (
        {"customer-a": {"key_versions": 2}},
        "Invalid value for input variable",
    ),
}


@pytest.fixture(scope="module")
def shared_workspace(new_workspace):
    return new_workspace()


@pytest.mark.parametrize("slip", SAID)
def test_a_slip_is_refused_with_what_to_write_instead(shared_workspace, slip):
    customers, said = SAID[slip]
    shared_workspace.customers(customers, cluster_project_number="123456789012")
    assert said in shared_workspace.refused("plan", "-input=false")


def test_a_slip_in_the_file_that_a_person_writes_is_found(workspace):
    """The same in HCL, which is what the example is written in."""
    workspace.example()
    file = workspace.root / "customers.auto.tfvars"
    file.write_text(file.read_text().replace("retention_days ", "retention_dais "))
    assert "Unknown field: customer-c.retention_dais." in workspace.refused("plan", "-input=false")
