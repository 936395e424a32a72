# Adding and removing a customer: what the others have stays as it was. (tests/terraform/ reads the
# same from the plan itself, which Terraform's own tests cannot see.)

mock_provider "google" {
  mock_resource "google_project_iam_custom_role" {
    defaults = { name = "projects/uploads-prod/roles/gcsUploader" }
  }
}
mock_provider "local" {}
mock_provider "random" {}

variables {
  project_id             = "uploads-prod"
  cluster_project_number = "123456789012"
  customers = {
    alpha = {}
    beta  = { identity = "key" }
    gamma = { impersonation = true }
  }
}

run "three" {}

run "a_fourth_leaves_the_three_alone" {
  variables {
    customers = {
      alpha = {}
      beta  = { identity = "key" }
      delta = { object_prefix = "uploads/" }
      gamma = { impersonation = true }
    }
  }

  assert {
    condition     = { for name, customer in output.customers : name => customer if name != "delta" } == run.three.customers
    error_message = "A fourth customer changes the three that were there."
  }
  assert {
    condition     = output.customers["delta"].grant.bucket == output.customers["delta"].bucket
    error_message = "The fourth customer has no bucket of its own."
  }
}

run "removing_one_leaves_the_others_alone" {
  variables {
    customers = {
      beta  = { identity = "key" }
      gamma = { impersonation = true }
    }
  }

  assert {
    condition     = output.customers == { for name, customer in run.three.customers : name => customer if name != "alpha" }
    error_message = "Removing a customer changes those who stay."
  }
}

run "the_random_part_of_a_bucket_name_outlives_other_changes" {
  variables {
    customers = {
      beta  = { identity = "key", labels = { tier = "gold" }, expire_after_days = 30, key_versions = ["1", "2"] }
      gamma = { impersonation = true, force_destroy = true }
    }
  }

  assert {
    condition     = alltrue([for name in ["beta", "gamma"] : output.customers[name].bucket == run.three.customers[name].bucket])
    error_message = "A bucket got another name, and with it would be replaced."
  }
}
