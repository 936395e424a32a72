# The identity that may write to the bucket, and do nothing else. One of three kinds:
#
#   workload-identity                the Kubernetes service account itself; nothing else exists
#   workload-identity, impersonation a Google service account that only the Kubernetes one can act as
#   key                              a Google service account with keys

locals {
  identity_kind = var.identity == "key" ? "key" : var.impersonation ? "impersonation" : "direct"

  namespace          = coalesce(var.namespace, "gcs-uploader-${var.name}")
  service_account_id = coalesce(var.service_account_id, trimsuffix(substr("${var.name_prefix}-${var.name}", 0, 30), "-"))

  writer = local.identity_kind == "direct" ? join("/", [
    "principal://iam.googleapis.com/projects/${try(var.workload_pool.project_number, "")}",
    "locations/global/workloadIdentityPools/${try(var.workload_pool.project_id, "")}.svc.id.goog",
    "subject/ns/${local.namespace}/sa/${var.kubernetes_service_account}",
  ]) : "serviceAccount:${google_service_account.uploader[0].email}"
}

resource "google_service_account" "uploader" {
  count = local.identity_kind == "direct" ? 0 : 1

  project      = var.project_id
  account_id   = local.service_account_id
  display_name = "gcs-uploader of ${var.name}"
  description  = "Creates objects in gs://${local.bucket_name}, and does nothing else."
}

# Authoritative for this role on this bucket: a writer that was added by hand is removed.
resource "google_storage_bucket_iam_binding" "uploader" {
  bucket  = google_storage_bucket.uploads.name
  role    = var.role_name
  members = [local.writer]

  dynamic "condition" {
    for_each = var.object_prefix == "" ? [] : [var.object_prefix]

    content {
      title       = "only-under-the-object-prefix"
      description = "Objects whose names begin with ${condition.value}"
      expression  = "resource.name.startsWith(\"projects/_/buckets/${local.bucket_name}/objects/${condition.value}\")"
    }
  }
}

# Authoritative as well: only this one Kubernetes service account can act as the Google one.
resource "google_service_account_iam_binding" "impersonation" {
  count = local.identity_kind == "impersonation" ? 1 : 0

  service_account_id = google_service_account.uploader[0].name
  role               = "roles/iam.workloadIdentityUser"
  members            = ["serviceAccount:${try(var.workload_pool.project_id, "")}.svc.id.goog[${local.namespace}/${var.kubernetes_service_account}]"]
}

resource "google_service_account_key" "uploader" {
  for_each = local.identity_kind == "key" ? toset(var.key_versions) : toset([])

  service_account_id = google_service_account.uploader[0].name

  keepers = {
    version = each.key
  }
}
