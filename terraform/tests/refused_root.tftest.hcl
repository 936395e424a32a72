# What the root refuses: settings of its own, and customers who would share something.

mock_provider "google" {}
mock_provider "local" {}
mock_provider "random" {}

# (Customers who share something are refused where all of them are known: at the output of that name.)

variables {
  project_id             = "uploads-prod"
  cluster_project_number = "123456789012"
}

run "names_that_are_one_after_the_cut" {
  command = plan
  variables {
    customers = {
      customer-in-upper-austria = { identity = "key" }
      customer-in-upper-bavaria = { identity = "key" }
    }
  }
  expect_failures = [output.customers]
}

run "one_service_account_given_twice" {
  command = plan
  variables {
    customers = {
      customer-a = { identity = "key", service_account_id = "uploader" }
      customer-b = { impersonation = true, service_account_id = "uploader" }
    }
  }
  expect_failures = [output.customers]
}

run "one_namespace_for_two" {
  command = plan
  variables {
    customers = {
      customer-a = { namespace = "tenant" }
      customer-b = { namespace = "tenant" }
    }
  }
  expect_failures = [output.customers]
}

run "the_default_namespace_of_another" {
  command = plan
  variables {
    customers = {
      customer-a = {}
      customer-b = { namespace = "gcs-uploader-customer-a" }
    }
  }
  expect_failures = [output.customers]
}

run "one_bucket_for_two" {
  command = plan
  variables {
    customers = {
      customer-a = { bucket_name = "the-bucket" }
      customer-b = { bucket_name = "the-bucket" }
    }
  }
  expect_failures = [output.customers]
}

run "one_host_for_two" {
  command = plan
  variables {
    customers = {
      customer-a = {}
      customer-b = { host = "customer-a.uploads.example.com" }
    }
  }
  expect_failures = [output.customers]
}

run "a_budget_without_a_billing_account" {
  command = plan
  variables {
    customers = {
      customer-a = { monthly_budget = 100 }
    }
  }
  expect_failures = [var.customers]
}

run "a_project_by_its_title" {
  command = plan
  variables {
    project_id = "Uploads Production"
  }
  expect_failures = [var.project_id]
}

run "a_cluster_project_by_its_number" {
  command = plan
  variables {
    cluster_project_id = "123456789012"
  }
  expect_failures = [var.cluster_project_id]
}

run "a_cluster_project_number_that_is_an_id" {
  command = plan
  variables {
    cluster_project_number = "clusters-prod"
  }
  expect_failures = [var.cluster_project_number]
}

run "a_name_prefix_in_capitals" {
  command = plan
  variables {
    name_prefix = "GCS-Uploader"
  }
  expect_failures = [var.name_prefix]
}

run "a_role_id_with_hyphens" {
  command = plan
  variables {
    role_id = "gcs-uploader"
  }
  expect_failures = [var.role_id]
}

run "a_label_that_every_bucket_has" {
  command = plan
  variables {
    labels = { customer = "all" }
  }
  expect_failures = [var.labels]
}

run "a_log_bucket_by_its_url" {
  command = plan
  variables {
    access_log_bucket = "gs://logs"
  }
  expect_failures = [var.access_log_bucket]
}

run "a_domain_with_a_port" {
  command = plan
  variables {
    ingress_domain = "uploads.example.com:443"
  }
  expect_failures = [var.ingress_domain]
}

run "an_e_mail_with_a_name_around_it" {
  command = plan
  variables {
    alert_emails = ["On Call <on-call@example.com>"]
  }
  expect_failures = [var.alert_emails]
}

run "one_e_mail_twice" {
  command = plan
  variables {
    alert_emails = ["on-call@example.com", "on-call@example.com"]
  }
  expect_failures = [var.alert_emails]
}

run "a_billing_account_s_title" {
  command = plan
  variables {
    billing_account = "My Billing Account"
  }
  expect_failures = [var.billing_account]
}

run "a_currency_by_its_sign" {
  command = plan
  variables {
    budget_currency = "€"
  }
  expect_failures = [var.budget_currency]
}

run "a_repository_by_its_url" {
  command = plan
  variables {
    image_registry = { location = "europe-west3", github_repository = "https://github.com/owner/gcs-uploader", github_repository_id = "123456789" }
  }
  expect_failures = [var.image_registry]
}

run "a_repository_without_its_number" {
  command = plan
  variables {
    image_registry = { location = "europe-west3", github_repository = "owner/gcs-uploader", github_repository_id = "gcs-uploader" }
  }
  expect_failures = [var.image_registry]
}

run "a_registry_nowhere" {
  command = plan
  variables {
    image_registry = { location = "Europe!", github_repository = "owner/gcs-uploader", github_repository_id = "123456789" }
  }
  expect_failures = [var.image_registry]
}

run "a_push_from_any_ref" {
  command = plan
  variables {
    image_registry = { location = "europe-west3", github_repository = "owner/gcs-uploader", github_repository_id = "123456789", pushing_refs = ["*"] }
  }
  expect_failures = [var.image_registry]
}

run "a_ref_that_breaks_out_of_the_condition" {
  command = plan
  variables {
    image_registry = { location = "europe-west3", github_repository = "owner/gcs-uploader", github_repository_id = "123456789", pushing_refs = ["refs/heads/a' || true || '"] }
  }
  expect_failures = [var.image_registry]
}

run "a_registry_that_everybody_reads" {
  command = plan
  variables {
    image_registry = { location = "europe-west3", github_repository = "owner/gcs-uploader", github_repository_id = "123456789", readers = ["allUsers"] }
  }
  expect_failures = [var.image_registry]
}
