# The alert and the budget, if the customer's entry asks for them.

resource "google_monitoring_alert_policy" "failed_uploads" {
  count = var.failed_upload_alert == null ? 0 : 1

  project               = var.failed_upload_metric.project_id
  display_name          = "gcs-uploader ${var.name}: uploads fail"
  combiner              = "OR"
  severity              = "ERROR"
  notification_channels = var.notification_channels
  user_labels           = local.labels

  conditions {
    display_name = "More than ${var.failed_upload_alert.count} failed uploads in ${var.failed_upload_alert.within_minutes} minutes"

    condition_threshold {
      filter = join(" AND ", [
        "metric.type=\"logging.googleapis.com/user/${var.failed_upload_metric.name}\"",
        "resource.type=\"k8s_container\"",
        "resource.labels.namespace_name=\"${local.namespace}\"",
      ])
      comparison      = "COMPARISON_GT"
      threshold_value = var.failed_upload_alert.count
      duration        = "0s"

      aggregations {
        alignment_period     = "${var.failed_upload_alert.within_minutes * 60}s"
        per_series_aligner   = "ALIGN_SUM"
        cross_series_reducer = "REDUCE_SUM"
        group_by_fields      = ["resource.label.namespace_name"]
      }
    }
  }

  documentation {
    mime_type = "text/markdown"
    content   = "Uploads of ${var.name} (namespace ${local.namespace}, bucket ${local.bucket_name}) end in 500, 502 or 504. Read the instance's log for `status` and `detail`, then run `gcs-uploader check` in its pod's environment."
  }

  alert_strategy {
    auto_close = "1800s"
  }
}

resource "google_billing_budget" "bucket" {
  count = var.monthly_budget == null ? 0 : 1

  billing_account = var.budget_account.billing_account
  display_name    = "gcs-uploader ${var.name}"

  budget_filter {
    projects        = ["projects/${var.budget_account.project_number}"]
    labels          = { customer = var.name }
    calendar_period = "MONTH"
  }

  amount {
    specified_amount {
      currency_code = var.budget_account.currency
      units         = tostring(var.monthly_budget)
    }
  }

  threshold_rules {
    threshold_percent = 0.8
  }
  threshold_rules {
    threshold_percent = 1.0
  }
  threshold_rules {
    threshold_percent = 1.0
    spend_basis       = "FORECASTED_SPEND"
  }

  dynamic "all_updates_rule" {
    for_each = length(var.notification_channels) == 0 ? [] : [var.notification_channels]

    content {
      # A budget allows at most five channels.
      monitoring_notification_channels = slice(all_updates_rule.value, 0, min(5, length(all_updates_rule.value)))
    }
  }
}
