output "bucket" {
  description = "The bucket's name."
  value       = google_storage_bucket.uploads.name
}

output "namespace" {
  description = "The Kubernetes namespace of the instance."
  value       = local.namespace
}

output "service_account_email" {
  description = "The Google service account's e-mail address, or null where the Kubernetes service account is bound directly."
  value       = one(google_service_account.uploader[*].email)
}

output "grant" {
  description = "The one IAM binding of this customer's instance: role, bucket, members and condition."
  value = {
    bucket    = google_storage_bucket_iam_binding.uploader.bucket
    role      = google_storage_bucket_iam_binding.uploader.role
    members   = google_storage_bucket_iam_binding.uploader.members
    condition = one(google_storage_bucket_iam_binding.uploader.condition[*].expression)
  }
}

output "bucket_settings" {
  description = "The settings of the bucket that control access to its objects and their deletion."
  value = {
    public_access_prevention    = google_storage_bucket.uploads.public_access_prevention
    uniform_bucket_level_access = google_storage_bucket.uploads.uniform_bucket_level_access
    force_destroy               = google_storage_bucket.uploads.force_destroy
  }
}

output "overlay_file" {
  description = "The path of the overlay's file."
  value       = local_file.overlay.filename
}

output "secret_file" {
  description = "The file with the Secret's manifest, or null if there is no key. The file is secret, its path is not."
  value       = one(local_sensitive_file.key_secret[*].filename)
}

output "alert_filter" {
  description = "The metric filter of the alert on failed uploads, or null if there is none."
  value       = one(google_monitoring_alert_policy.failed_uploads[*].conditions[0].condition_threshold[0].filter)
}

output "budget" {
  description = "The value of the label `customer` that the budget watches, and its amount, or null where there is none."
  value = one([for budget in google_billing_budget.bucket : {
    label    = budget.budget_filter[0].labels["customer"]
    amount   = budget.amount[0].specified_amount[0].units
    currency = budget.amount[0].specified_amount[0].currency_code
  }])
}
