# Three customers, one of each identity: what a plan says of them. No provider is asked and no file
# is written: all of them are mocked, and what Google would answer is given below.

mock_provider "google" {
  override_during = plan

  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
  mock_resource "google_project_iam_custom_role" {
    defaults = { name = "projects/uploads-prod/roles/gcsUploader" }
  }
}
mock_provider "local" {
  override_during = plan
}
mock_provider "random" {
  override_during = plan
}

override_resource {
  override_during = plan
  target          = module.customer["by-key"].google_service_account.uploader[0]
  values = {
    email = "gcs-uploader-by-key@uploads-prod.iam.gserviceaccount.com"
    name  = "projects/uploads-prod/serviceAccounts/gcs-uploader-by-key@uploads-prod.iam.gserviceaccount.com"
  }
}
override_resource {
  override_during = plan
  target          = module.customer["through-another"].google_service_account.uploader[0]
  values = {
    email = "gcs-uploader-through-another@uploads-prod.iam.gserviceaccount.com"
    name  = "projects/uploads-prod/serviceAccounts/gcs-uploader-through-another@uploads-prod.iam.gserviceaccount.com"
  }
}

variables {
  project_id         = "uploads-prod"
  cluster_project_id = "clusters-prod"
  customers = {
    direct          = { bucket_name = "bucket-direct" }
    by-key          = { bucket_name = "bucket-by-key", identity = "key" }
    through-another = { bucket_name = "bucket-through-another", impersonation = true }
  }
}

run "each_customer_has_one_bucket" {
  command = plan

  assert {
    condition     = { for name, customer in output.customers : name => customer.bucket } == { direct = "bucket-direct", by-key = "bucket-by-key", through-another = "bucket-through-another" }
    error_message = "Each customer has the bucket of the customer's own, and there is no other."
  }
}

run "each_binding_names_its_own_bucket_and_one_writer" {
  command = plan

  assert {
    condition     = alltrue([for customer in output.customers : customer.grant.bucket == customer.bucket])
    error_message = "A binding names a bucket that is not its customer's."
  }
  assert {
    condition     = alltrue([for customer in output.customers : length(customer.grant.members) == 1])
    error_message = "A bucket has more or fewer than one writer."
  }
  assert {
    condition     = length(distinct(flatten([for customer in output.customers : tolist(customer.grant.members)]))) == 3
    error_message = "Two customers have the same identity."
  }
  assert {
    condition     = alltrue([for customer in output.customers : customer.grant.role == "projects/uploads-prod/roles/gcsUploader"])
    error_message = "A writer has another role than the uploaders' own."
  }
}

run "each_identity_is_what_its_entry_says" {
  command = plan

  assert {
    condition = output.customers["direct"].grant.members == toset([
      "principal://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/clusters-prod.svc.id.goog/subject/ns/gcs-uploader-direct/sa/gcs-uploader",
    ])
    error_message = "Workload identity is not bound directly to the Kubernetes service account of the customer's namespace."
  }
  assert {
    condition     = output.customers["direct"].service_account_email == null && output.customers["direct"].secret_file == null
    error_message = "Direct workload identity needs neither a Google service account nor a key."
  }
  assert {
    condition = (
      output.customers["by-key"].grant.members == toset(["serviceAccount:gcs-uploader-by-key@uploads-prod.iam.gserviceaccount.com"]) &&
      output.customers["through-another"].grant.members == toset(["serviceAccount:gcs-uploader-through-another@uploads-prod.iam.gserviceaccount.com"])
    )
    error_message = "A Google service account is bound to a bucket that is not its customer's."
  }
  assert {
    condition     = endswith(output.customers["by-key"].secret_file, "/generated/by-key/secret.yaml") && output.customers["through-another"].secret_file == null
    error_message = "Only the customer with a key has a Secret."
  }
}

run "the_role_permits_two_things" {
  command = plan

  assert {
    condition     = google_project_iam_custom_role.uploader.permissions == toset(["storage.objects.create", "storage.objects.get"])
    error_message = "An uploader creates objects and reads them back. It must not list, overwrite or delete."
  }
}

run "buckets_are_private_and_kept" {
  command = plan

  assert {
    condition     = alltrue([for customer in module.customer : customer.bucket_settings.public_access_prevention == "enforced"])
    error_message = "Public access prevention is not enforced on every bucket."
  }
  assert {
    condition     = alltrue([for customer in module.customer : customer.bucket_settings.uniform_bucket_level_access])
    error_message = "A bucket has ACLs."
  }
  assert {
    condition     = alltrue([for customer in module.customer : customer.bucket_settings.force_destroy == false])
    error_message = "A bucket may be destroyed with objects in it, although nobody said so."
  }
}

run "needed_apis_are_enabled_and_never_disabled" {
  command = plan

  assert {
    condition = toset(keys(google_project_service.needed)) == toset([
      "cloudresourcemanager.googleapis.com", "iam.googleapis.com", "iamcredentials.googleapis.com", "storage.googleapis.com", "sts.googleapis.com",
    ])
    error_message = "The list of APIs is not what the three customers need."
  }
  assert {
    condition     = alltrue([for api in google_project_service.needed : api.disable_on_destroy == false])
    error_message = "An API that something else may use would be disabled on destroy."
  }
}

run "nothing_optional_is_made_unasked" {
  command = plan

  assert {
    condition = (
      length(google_artifact_registry_repository.images) == 0 && length(google_iam_workload_identity_pool.github) == 0 &&
      length(google_logging_metric.failed_uploads) == 0 && length(google_monitoring_notification_channel.email) == 0 &&
      length(google_kms_crypto_key_iam_member.storage) == 0 && output.image_registry == null
    )
    error_message = "Something optional is planned, although no entry asks for it."
  }
}

run "each_overlay_has_a_folder_of_its_own" {
  command = plan

  assert {
    condition     = alltrue([for name, customer in output.customers : endswith(customer.overlay_file, "/kustomize/overlays/${name}/kustomization.yaml")])
    error_message = "An overlay is not where kustomize looks for it."
  }
}

run "no_customers_is_a_plan_too" {
  command = plan

  variables {
    customers = {}
  }

  assert {
    condition     = length(output.customers) == 0
    error_message = "There are customers, although the map is empty."
  }
}
