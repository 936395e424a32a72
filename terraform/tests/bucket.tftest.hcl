# The bucket of one customer, setting by setting.

mock_provider "google" {
  override_during = plan
}
mock_provider "local" {
  override_during = plan
}
mock_provider "random" {
  override_during = plan
  mock_resource "random_id" {
    defaults = { hex = "0badcafe" }
  }
}

variables {
  name          = "customer-a"
  project_id    = "uploads-prod"
  role_name     = "projects/uploads-prod/roles/gcsUploader"
  host          = "customer-a.uploads.example.com"
  kustomize_dir = "../kustomize"
  overlays_dir  = "overlays"
  generated_dir = "generated"
  workload_pool = {
    project_id     = "clusters-prod"
    project_number = "123456789012"
  }
}

run "defaults" {
  command = plan
  module {
    source = "./modules/customer"
  }

  assert {
    condition     = google_storage_bucket.uploads.name == "gcs-uploader-customer-a-0badcafe"
    error_message = "The name is not prefix, customer and random part."
  }
  assert {
    condition     = google_storage_bucket.uploads.location == "EU" && google_storage_bucket.uploads.storage_class == "STANDARD"
    error_message = "The default is STANDARD in the EU."
  }
  assert {
    condition     = length(google_storage_bucket.uploads.lifecycle_rule) == 0 && length(google_storage_bucket.uploads.retention_policy) == 0
    error_message = "Nothing is deleted and nothing is locked unless somebody says so."
  }
  assert {
    condition     = google_storage_bucket.uploads.versioning[0].enabled == false && google_storage_bucket.uploads.soft_delete_policy[0].retention_duration_seconds == 604800
    error_message = "The default is no versions and seven days of soft delete."
  }
  assert {
    condition     = google_storage_bucket.uploads.labels == tomap({ app = "gcs-uploader", customer = "customer-a" })
    error_message = "The bucket's labels say whose it is."
  }
  assert {
    condition     = length(google_storage_bucket.uploads.encryption) == 0 && length(google_storage_bucket.uploads.logging) == 0
    error_message = "There is a key or a log bucket that nobody named."
  }
}

run "the_longest_name_still_fits" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    name        = "a-customer-name-of-thirty-char"
    name_prefix = "prefix-of-twenty-chr"
  }

  assert {
    condition     = length(google_storage_bucket.uploads.name) <= 63
    error_message = "The bucket's name is longer than Cloud Storage takes."
  }
}

run "a_given_name_draws_nothing" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    bucket_name = "a-name-of-their-own"
  }

  assert {
    condition     = google_storage_bucket.uploads.name == "a-name-of-their-own" && length(random_id.bucket_suffix) == 0
    error_message = "The given name is not the bucket's."
  }
}

run "objects_grow_cold_and_expire" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    colder_classes    = [{ after_days = 30, storage_class = "NEARLINE" }, { after_days = 90, storage_class = "ARCHIVE" }]
    expire_after_days = 365
    retention_days    = 30
  }

  assert {
    condition = [
      for rule in google_storage_bucket.uploads.lifecycle_rule :
      "${one(rule.action).type} ${try(coalesce(one(rule.action).storage_class), "-")} ${one(rule.condition).age}"
    ] == ["SetStorageClass NEARLINE 30", "SetStorageClass ARCHIVE 90", "Delete - 365"]
    error_message = "The lifecycle is not NEARLINE after 30, ARCHIVE after 90, gone after 365 days."
  }
  assert {
    # A number in provider 6 and a string in provider 7.
    condition     = tostring(google_storage_bucket.uploads.retention_policy[0].retention_period) == "2592000"
    error_message = "The retention is not 30 days."
  }
}

run "old_versions_expire" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    versioning                   = true
    noncurrent_expire_after_days = 14
    soft_delete_days             = 0
  }

  assert {
    condition     = google_storage_bucket.uploads.versioning[0].enabled && one(google_storage_bucket.uploads.lifecycle_rule[0].condition).days_since_noncurrent_time == 14
    error_message = "Noncurrent versions are not deleted after 14 days."
  }
  assert {
    condition     = google_storage_bucket.uploads.soft_delete_policy[0].retention_duration_seconds == 0
    error_message = "Soft delete is not off."
  }
}

run "own_key_log_bucket_and_labels" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    kms_key_name      = "projects/p/locations/europe/keyRings/r/cryptoKeys/k"
    access_log_bucket = "access-logs"
    labels            = { cost_centre = "4711" }
    force_destroy     = true
  }

  assert {
    condition     = google_storage_bucket.uploads.encryption[0].default_kms_key_name == "projects/p/locations/europe/keyRings/r/cryptoKeys/k"
    error_message = "New objects are not encrypted with the customer's key."
  }
  assert {
    condition     = google_storage_bucket.uploads.logging[0].log_bucket == "access-logs" && google_storage_bucket.uploads.logging[0].log_object_prefix == "customer-a"
    error_message = "The usage logs do not go to the customer's folder of the log bucket."
  }
  assert {
    condition     = google_storage_bucket.uploads.labels["cost_centre"] == "4711" && google_storage_bucket.uploads.labels["customer"] == "customer-a"
    error_message = "A label is missing."
  }
  assert {
    condition     = google_storage_bucket.uploads.force_destroy
    error_message = "force_destroy does not reach the bucket."
  }
}
