# The identity of one customer: who it is, and that it can touch one bucket and nothing else.

mock_provider "google" {
  override_during = plan

  mock_resource "google_service_account" {
    defaults = {
      email = "gcs-uploader-customer-a@uploads-prod.iam.gserviceaccount.com"
      name  = "projects/uploads-prod/serviceAccounts/gcs-uploader-customer-a@uploads-prod.iam.gserviceaccount.com"
    }
  }
  mock_resource "google_service_account_key" {
    defaults = { private_key = "e30=" }
  }
}
mock_provider "local" {
  override_during = plan
}
mock_provider "random" {}

variables {
  name          = "customer-a"
  bucket_name   = "bucket-a"
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

run "direct_workload_identity_is_the_only_resource_of_its_kind" {
  command = plan
  module {
    source = "./modules/customer"
  }

  assert {
    condition = google_storage_bucket_iam_binding.uploader.members == toset([
      "principal://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/clusters-prod.svc.id.goog/subject/ns/gcs-uploader-customer-a/sa/gcs-uploader",
    ])
    error_message = "The writer is not the Kubernetes service account of the customer's namespace."
  }
  assert {
    condition     = length(google_service_account.uploader) + length(google_service_account_key.uploader) + length(google_service_account_iam_binding.impersonation) + length(local_sensitive_file.key_secret) == 0
    error_message = "There is a Google service account, a key or a Secret that nobody needs."
  }
  assert {
    condition     = !strcontains(local_file.overlay.content, "iam.gke.io/gcp-service-account")
    error_message = "The overlay points to a Google service account that does not exist."
  }
}

run "another_namespace_is_another_principal" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    namespace = "tenant-a"
  }

  assert {
    condition     = alltrue([for member in google_storage_bucket_iam_binding.uploader.members : endswith(member, "/subject/ns/tenant-a/sa/gcs-uploader")])
    error_message = "The principal is not of the given namespace."
  }
  assert {
    condition     = strcontains(local_file.overlay.content, "namespace: \"tenant-a\"")
    error_message = "The overlay and the principal disagree on the namespace."
  }
}

run "impersonation_goes_through_one_service_account" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    impersonation = true
  }

  assert {
    condition     = google_storage_bucket_iam_binding.uploader.members == toset(["serviceAccount:gcs-uploader-customer-a@uploads-prod.iam.gserviceaccount.com"])
    error_message = "The writer is not the customer's Google service account."
  }
  assert {
    condition     = google_service_account_iam_binding.impersonation[0].members == toset(["serviceAccount:clusters-prod.svc.id.goog[gcs-uploader-customer-a/gcs-uploader]"])
    error_message = "Somebody else than the customer's Kubernetes service account can act as the Google one."
  }
  assert {
    condition     = google_service_account_iam_binding.impersonation[0].role == "roles/iam.workloadIdentityUser" && length(google_service_account_key.uploader) == 0
    error_message = "Impersonation needs one role and no key."
  }
  assert {
    condition     = strcontains(local_file.overlay.content, "iam.gke.io/gcp-service-account: \"gcs-uploader-customer-a@uploads-prod.iam.gserviceaccount.com\"")
    error_message = "The overlay does not name the Google service account."
  }
}

run "a_key_goes_into_a_secret_that_only_its_owner_reads" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    identity      = "key"
    workload_pool = null
  }

  assert {
    condition     = google_storage_bucket_iam_binding.uploader.members == toset(["serviceAccount:gcs-uploader-customer-a@uploads-prod.iam.gserviceaccount.com"])
    error_message = "The writer is not the customer's Google service account."
  }
  assert {
    condition     = local_sensitive_file.key_secret[0].file_permission == "0600" && local_sensitive_file.key_secret[0].directory_permission == "0700"
    error_message = "Others on this machine could read the key."
  }
  assert {
    condition = yamldecode(nonsensitive(local_sensitive_file.key_secret[0].content)) == {
      apiVersion = "v1"
      kind       = "Secret"
      type       = "Opaque"
      metadata = {
        name      = "gcs-uploader-key"
        namespace = "gcs-uploader-customer-a"
        labels    = { "app.kubernetes.io/managed-by" = "terraform", "app.kubernetes.io/name" = "gcs-uploader" }
      }
      data = { "key.json" = "e30=" }
    }
    error_message = "The manifest is not the Secret that the pod mounts."
  }
  assert {
    condition     = issensitive(local_sensitive_file.key_secret[0].content)
    error_message = "The key could be printed."
  }
  assert {
    condition     = strcontains(local_file.overlay.content, "../../components/service-account-key")
    error_message = "The overlay does not mount the key."
  }
}

run "a_rotation_keeps_the_old_key_until_it_is_taken_out" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    identity     = "key"
    key_versions = ["2026-01", "2026-07"]
  }

  assert {
    condition     = toset(keys(google_service_account_key.uploader)) == toset(["2026-01", "2026-07"])
    error_message = "Both keys have to be valid while the instance is rolled out."
  }
  assert {
    condition     = google_service_account_key.uploader["2026-07"].keepers == tomap({ version = "2026-07" })
    error_message = "A new version does not make a new key."
  }
}

run "a_prefix_narrows_the_permission" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    object_prefix = "uploads/2026/"
  }

  assert {
    condition     = google_storage_bucket_iam_binding.uploader.condition[0].expression == "resource.name.startsWith(\"projects/_/buckets/bucket-a/objects/uploads/2026/\")"
    error_message = "The condition does not hold the identity to the object prefix."
  }
}

run "without_a_prefix_there_is_no_condition" {
  command = plan
  module {
    source = "./modules/customer"
  }

  assert {
    condition     = length(google_storage_bucket_iam_binding.uploader.condition) == 0
    error_message = "There is a condition without a prefix."
  }
}

run "a_long_name_is_cut_for_the_service_account" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    name     = "customer-in-upper-austria"
    identity = "key"
  }

  assert {
    condition     = google_service_account.uploader[0].account_id == "gcs-uploader-customer-in-upper"
    error_message = "The id is not cut to 30 characters."
  }
}

run "a_cut_never_ends_in_a_hyphen" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    name     = "customer-in-lower-a"
    identity = "key"
    # 11 characters and a hyphen: the cut would fall behind the hyphen after "lower".
    name_prefix = "uploader-eu"
  }

  assert {
    condition     = google_service_account.uploader[0].account_id == "uploader-eu-customer-in-lower"
    error_message = "The id ends in a hyphen, which Google refuses."
  }
}
