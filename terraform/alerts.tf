# Shared parts of the customers' alerts: notification channels, and the metric of failed uploads.

locals {
  notification_channels = [for email in var.alert_emails : google_monitoring_notification_channel.email[email].name]
  failed_upload_metric = local.has_alerts ? {
    project_id = local.cluster_project_id
    name       = google_logging_metric.failed_uploads[0].name
  } : null
}

resource "google_monitoring_notification_channel" "email" {
  for_each = local.has_alerts || local.has_budgets ? toset(var.alert_emails) : toset([])

  project      = local.cluster_project_id
  display_name = "gcs-uploader: ${each.key}"
  type         = "email"
  labels       = { email_address = each.key }

  depends_on = [google_project_service.needed]
}

# One metric for all customers: its series carry the namespace, and a project has room for 500
# such metrics. 503 is not counted: it means that the server is busy, and clients retry it.
resource "google_logging_metric" "failed_uploads" {
  count = local.has_alerts ? 1 : 0

  project     = local.cluster_project_id
  name        = "gcs-uploader/failed-uploads"
  description = "Uploads that ended in 500, 502 or 504, by namespace."
  filter = join(" AND ", [
    "resource.type=\"k8s_container\"",
    "resource.labels.container_name=\"gcs-uploader\"",
    "httpRequest.requestMethod=\"POST\"",
    "httpRequest.status=(500 OR 502 OR 504)",
  ])

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"
  }

  depends_on = [google_project_service.needed]
}
