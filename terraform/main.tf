# The root module: resources that all customers share, and one module call for each customer.
#
# It configures no provider, so that it can also be used as a module (see examples/): the
# credentials are the application-default ones, and every resource names its project.

locals {
  # The name of the ServiceAccount in k8s/; every namespace has one.
  kubernetes_service_account = "gcs-uploader"

  kustomize_dir = "${path.module}/../kustomize"
  overlays_dir  = coalesce(var.overlays_dir, "${local.kustomize_dir}/overlays")
  generated_dir = coalesce(var.generated_dir, "${path.module}/generated")

  cluster_project_id = coalesce(var.cluster_project_id, var.project_id)

  uses_workload_identity = anytrue([for customer in var.customers : customer.identity == "workload-identity"])
  kms_key_names          = toset([for customer in var.customers : customer.kms_key_name if customer.kms_key_name != null])
  has_alerts             = anytrue([for customer in var.customers : customer.failed_upload_alert != null])
  has_budgets            = anytrue([for customer in var.customers : customer.monthly_budget != null])
}

# ---------------------------------------------------------------- the project

resource "google_project_service" "needed" {
  for_each = toset(concat(
    [
      "cloudresourcemanager.googleapis.com", # the project's number
      "iam.googleapis.com",                  # the role, service accounts and keys
      "iamcredentials.googleapis.com",       # tokens for workloads that impersonate
      "storage.googleapis.com",
      "sts.googleapis.com", # tokens for workloads without a key
    ],
    local.has_alerts || local.has_budgets ? ["logging.googleapis.com", "monitoring.googleapis.com"] : [],
    local.has_budgets ? ["billingbudgets.googleapis.com"] : [],
    length(local.kms_key_names) > 0 ? ["cloudkms.googleapis.com"] : [],
    var.image_registry == null ? [] : ["artifactregistry.googleapis.com"],
  ))

  project = var.project_id
  service = each.key

  # Provider 6 disables by default and 7 does not; something else in the project may use the API.
  disable_on_destroy = false
}

# These lookups have no dependencies: a lookup that waits for a resource is unknown in every plan in
# which that resource changes, and would then show changes to customers who have none.
data "google_project" "cluster" {
  count = local.uses_workload_identity && var.cluster_project_number == null ? 1 : 0

  project_id = local.cluster_project_id
}

data "google_project" "storage" {
  count = local.has_budgets ? 1 : 0

  project_id = var.project_id
}

data "google_storage_project_service_account" "storage" {
  count = length(local.kms_key_names) > 0 ? 1 : 0

  project = var.project_id
}

# ---------------------------------------------------------------- the role

# A compromised instance can add objects and read those whose names it knows. It can
# neither list, nor overwrite, nor delete: an overwrite needs storage.objects.delete.
resource "google_project_iam_custom_role" "uploader" {
  project     = var.project_id
  role_id     = var.role_id
  title       = "GCS uploader"
  description = "Create objects and read one's own back. Bound on single buckets only."
  permissions = [
    "storage.objects.create",
    "storage.objects.get",
  ]

  depends_on = [google_project_service.needed]
}

# Cloud Storage itself encrypts with the customer's key, so it is Cloud Storage that needs it.
resource "google_kms_crypto_key_iam_member" "storage" {
  for_each = local.kms_key_names

  crypto_key_id = each.key
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = data.google_storage_project_service_account.storage[0].member
}

# ---------------------------------------------------------------- the customers

module "customer" {
  source   = "./modules/customer"
  for_each = var.customers

  name        = each.key
  name_prefix = var.name_prefix
  project_id  = var.project_id
  labels      = merge(var.labels, each.value.labels)

  bucket_name                  = each.value.bucket_name
  location                     = each.value.location
  storage_class                = each.value.storage_class
  object_prefix                = each.value.object_prefix
  versioning                   = each.value.versioning
  noncurrent_expire_after_days = each.value.noncurrent_expire_after_days
  retention_days               = each.value.retention_days
  expire_after_days            = each.value.expire_after_days
  colder_classes               = each.value.colder_classes
  soft_delete_days             = each.value.soft_delete_days
  force_destroy                = each.value.force_destroy
  access_log_bucket            = var.access_log_bucket
  # Through the grant, so that the bucket is made when Cloud Storage may use the key.
  kms_key_name = each.value.kms_key_name == null ? null : google_kms_crypto_key_iam_member.storage[each.value.kms_key_name].crypto_key_id

  role_name                  = google_project_iam_custom_role.uploader.name
  identity                   = each.value.identity
  impersonation              = each.value.impersonation
  service_account_id         = each.value.service_account_id
  key_versions               = each.value.key_versions
  namespace                  = each.value.namespace
  kubernetes_service_account = local.kubernetes_service_account
  workload_pool = local.uses_workload_identity ? {
    project_id     = local.cluster_project_id
    project_number = var.cluster_project_number != null ? var.cluster_project_number : data.google_project.cluster[0].number
  } : null

  host          = local.hosts[each.key]
  sizes         = each.value.sizes
  components    = each.value.components
  kustomize_dir = local.kustomize_dir
  overlays_dir  = local.overlays_dir
  generated_dir = local.generated_dir

  failed_upload_alert   = each.value.failed_upload_alert
  failed_upload_metric  = local.failed_upload_metric
  notification_channels = local.notification_channels
  monthly_budget        = each.value.monthly_budget
  budget_account = local.has_budgets ? {
    billing_account = var.billing_account
    currency        = var.budget_currency
    project_number  = data.google_project.storage[0].number
  } : null

  depends_on = [google_project_service.needed]
}
