# One customer's bucket. The identity that may write to it is in identity.tf, the files for Kubernetes
# are in kubernetes.tf, and the alerts in alerts.tf.

locals {
  bucket_name = var.bucket_name != null ? var.bucket_name : "${var.name_prefix}-${var.name}-${random_id.bucket_suffix[0].hex}"
  labels      = merge(var.labels, { app = "gcs-uploader", customer = var.name })
}

# Bucket names are one namespace for all of Google's customers. The suffix is generated once: none of
# its inputs can change later.
resource "random_id" "bucket_suffix" {
  count = var.bucket_name == null ? 1 : 0

  byte_length = 4
}

resource "google_storage_bucket" "uploads" {
  #checkov:skip=CKV_GCP_78:Versions protect from overwriting and deleting, which the uploader's role permits neither of; soft delete covers the operator's slips, and versioning is an input for those who want it.

  project       = var.project_id
  name          = local.bucket_name
  location      = var.location
  storage_class = var.storage_class
  labels        = local.labels
  force_destroy = var.force_destroy

  # No ACLs, so that the role bound in identity.tf is the only source of permissions.
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  versioning {
    enabled = var.versioning
  }

  soft_delete_policy {
    retention_duration_seconds = var.soft_delete_days * 86400
  }

  dynamic "retention_policy" {
    for_each = var.retention_days == null ? [] : [var.retention_days]

    content {
      # A number to provider 6 and a string to provider 7; Terraform converts.
      retention_period = retention_policy.value * 86400
      is_locked        = false
    }
  }

  dynamic "lifecycle_rule" {
    for_each = var.colder_classes

    content {
      action {
        type          = "SetStorageClass"
        storage_class = lifecycle_rule.value.storage_class
      }
      condition {
        age        = lifecycle_rule.value.after_days
        with_state = "ANY"
      }
    }
  }

  dynamic "lifecycle_rule" {
    for_each = var.expire_after_days == null ? [] : [var.expire_after_days]

    content {
      action {
        type = "Delete"
      }
      condition {
        age        = lifecycle_rule.value
        with_state = "LIVE"
      }
    }
  }

  dynamic "lifecycle_rule" {
    for_each = var.noncurrent_expire_after_days == null ? [] : [var.noncurrent_expire_after_days]

    content {
      action {
        type = "Delete"
      }
      condition {
        days_since_noncurrent_time = lifecycle_rule.value
        with_state                 = "ARCHIVED"
      }
    }
  }

  dynamic "encryption" {
    for_each = var.kms_key_name == null ? [] : [var.kms_key_name]

    content {
      default_kms_key_name = encryption.value
    }
  }

  dynamic "logging" {
    for_each = var.access_log_bucket == null ? [] : [var.access_log_bucket]

    content {
      log_bucket        = logging.value
      log_object_prefix = var.name
    }
  }
}
