# What is made once for all customers, where it is asked for: the image's registry, the count of
# failed uploads, who is told, and the grant on an encryption key.

mock_provider "google" {
  override_during = plan

  mock_resource "google_iam_workload_identity_pool" {
    defaults = { name = "projects/123456789012/locations/global/workloadIdentityPools/gcs-uploader-github" }
  }
  mock_resource "google_iam_workload_identity_pool_provider" {
    defaults = { name = "projects/123456789012/locations/global/workloadIdentityPools/gcs-uploader-github/providers/github" }
  }
  mock_resource "google_project_iam_custom_role" {
    defaults = { name = "projects/uploads-prod/roles/gcsUploader" }
  }
  mock_data "google_storage_project_service_account" {
    defaults = { member = "serviceAccount:service-123456789012@gs-project-accounts.iam.gserviceaccount.com" }
  }
  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
}
mock_provider "local" {
  override_during = plan
}
mock_provider "random" {
  override_during = plan
}

variables {
  project_id             = "uploads-prod"
  cluster_project_number = "123456789012"
}

run "the_registry_takes_images_from_one_repository_only" {
  command = plan
  variables {
    image_registry = {
      location             = "europe-west3"
      github_repository    = "owner/gcs-uploader"
      github_repository_id = "987654321"
    }
  }

  assert {
    condition     = google_iam_workload_identity_pool_provider.github["this"].attribute_condition == "assertion.repository == 'owner/gcs-uploader' && assertion.repository_id == '987654321' && (assertion.ref == 'refs/heads/main' || assertion.ref.startsWith('refs/tags/v'))"
    error_message = "A workflow of another repository, or of another branch, would be let in."
  }
  assert {
    condition = google_artifact_registry_repository_iam_binding.writers["this"].members == toset([
      "principalSet://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/gcs-uploader-github/attribute.repository_id/987654321",
    ])
    error_message = "Somebody else than the repository's workflows can push."
  }
  assert {
    condition     = google_artifact_registry_repository.images["this"].docker_config[0].immutable_tags && length(google_artifact_registry_repository_iam_binding.readers) == 0
    error_message = "A tag can be moved, or somebody reads whom nobody named."
  }
  assert {
    condition = output.image_registry == {
      address                    = "europe-west3-docker.pkg.dev/uploads-prod/gcs-uploader"
      workload_identity_provider = "projects/123456789012/locations/global/workloadIdentityPools/gcs-uploader-github/providers/github"
    }
    error_message = "The workflow would not find the registry."
  }
  assert {
    condition     = contains(keys(google_project_service.needed), "artifactregistry.googleapis.com")
    error_message = "The registry's API is not enabled."
  }
}

run "named_readers_pull" {
  command = plan
  variables {
    image_registry = {
      location             = "europe"
      github_repository    = "owner/gcs-uploader"
      github_repository_id = "987654321"
      readers              = ["serviceAccount:nodes@uploads-prod.iam.gserviceaccount.com"]
    }
  }

  assert {
    condition     = google_artifact_registry_repository_iam_binding.readers["this"].members == toset(["serviceAccount:nodes@uploads-prod.iam.gserviceaccount.com"])
    error_message = "The nodes cannot pull."
  }
}

run "one_metric_counts_the_failed_uploads_of_all" {
  command = plan
  variables {
    alert_emails = ["on-call@example.com"]
    customers = {
      customer-a = { failed_upload_alert = {} }
      customer-b = { failed_upload_alert = { count = 0, within_minutes = 60 } }
      customer-c = {}
    }
  }

  assert {
    condition     = length(google_logging_metric.failed_uploads) == 1 && length(google_monitoring_notification_channel.email) == 1
    error_message = "There is not exactly one metric and one channel."
  }
  assert {
    condition = { for name, customer in module.customer : name => customer.alert_filter } == {
      customer-a = "metric.type=\"logging.googleapis.com/user/gcs-uploader/failed-uploads\" AND resource.type=\"k8s_container\" AND resource.labels.namespace_name=\"gcs-uploader-customer-a\""
      customer-b = "metric.type=\"logging.googleapis.com/user/gcs-uploader/failed-uploads\" AND resource.type=\"k8s_container\" AND resource.labels.namespace_name=\"gcs-uploader-customer-b\""
      customer-c = null
    }
    error_message = "An alert watches another customer's namespace, or is there unasked."
  }
}

run "a_budget_watches_one_customer_s_label" {
  command = plan
  variables {
    billing_account = "012345-6789AB-CDEF01"
    customers       = { customer-a = { monthly_budget = 250 } }
  }

  assert {
    condition     = contains(keys(google_project_service.needed), "billingbudgets.googleapis.com") && module.customer["customer-a"].budget == { label = "customer-a", amount = "250", currency = "EUR" }
    error_message = "The budget is not 250 EUR for the label customer=customer-a."
  }
}

run "one_grant_for_each_key_however_many_use_it" {
  command = plan
  variables {
    customers = {
      customer-a = { kms_key_name = "projects/p/locations/europe/keyRings/r/cryptoKeys/k" }
      customer-b = { kms_key_name = "projects/p/locations/europe/keyRings/r/cryptoKeys/k" }
    }
  }

  assert {
    condition     = length(google_kms_crypto_key_iam_member.storage) == 1
    error_message = "There is not one grant for the one key."
  }
  assert {
    condition     = alltrue([for grant in google_kms_crypto_key_iam_member.storage : grant.member == "serviceAccount:service-123456789012@gs-project-accounts.iam.gserviceaccount.com"])
    error_message = "The key is granted to somebody else than Cloud Storage."
  }
}
