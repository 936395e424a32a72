variable "project_id" {
  description = "The id of the project that holds the buckets, the role and the service accounts."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id is \"${var.project_id}\": write the project's id, not its name or number: 6 to 30 lower-case letters, digits and hyphens, beginning with a letter, such as \"uploads-prod\"."
  }
}

variable "cluster_project_id" {
  description = "The id of the project that the GKE cluster is in. Null: the same project."
  type        = string
  default     = null

  validation {
    condition     = var.cluster_project_id == null || can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.cluster_project_id))
    error_message = "cluster_project_id is \"${coalesce(var.cluster_project_id, "null")}\": write the project's id, not its name or number, such as \"clusters-prod\", or leave it out where the cluster is in project_id."
  }
}

variable "cluster_project_number" {
  description = "The number of the project that the GKE cluster is in. Null: looked up, which needs `resourcemanager.projects.get` there."
  type        = string
  default     = null

  validation {
    condition     = var.cluster_project_number == null || can(regex("^[1-9][0-9]{5,18}$", var.cluster_project_number))
    error_message = "cluster_project_number is \"${coalesce(var.cluster_project_number, "null")}\": write the project's number, such as \"123456789012\" (gcloud projects describe PROJECT --format='value(projectNumber)'), or leave it out."
  }
}

variable "customers" {
  description = "The customers, by name. Every field may be left out; meanings and valid values are in modules/customer/README.md, under the same name."
  type = map(object({
    # the bucket
    bucket_name                  = optional(string)
    location                     = optional(string, "EU")
    storage_class                = optional(string, "STANDARD")
    object_prefix                = optional(string, "")
    versioning                   = optional(bool, false)
    noncurrent_expire_after_days = optional(number)
    retention_days               = optional(number)
    expire_after_days            = optional(number)
    colder_classes = optional(list(object({
      after_days    = number
      storage_class = string
    })), [])
    soft_delete_days = optional(number, 7)
    kms_key_name     = optional(string)
    labels           = optional(map(string), {})
    force_destroy    = optional(bool, false)

    # the identity
    identity           = optional(string, "workload-identity")
    impersonation      = optional(bool, false)
    service_account_id = optional(string)
    key_versions       = optional(list(string), ["1"])
    namespace          = optional(string)

    # the overlay
    host = optional(string)
    sizes = optional(object({
      upload_size     = optional(string, "1MiB")
      max_upload_size = optional(string, "5GiB")
      workers         = optional(number, 32)
      min_replicas    = optional(number, 2)
      max_replicas    = optional(number, 6)
      cpu_request     = optional(string, "250m")
      memory_request  = optional(string, "64Mi")
      memory_limit    = optional(string, "256Mi")
      quota_cpu       = optional(string, "2")
      quota_memory    = optional(string, "2Gi")
      quota_pods      = optional(number, 8)
    }), {})
    components = optional(list(string), ["ingress-nginx"])

    # alerts
    failed_upload_alert = optional(object({
      count          = optional(number, 5)
      within_minutes = optional(number, 10)
    }))
    monthly_budget = optional(number)
  }))
  nullable = false
  default  = {}

  # Fields of a single customer are validated in modules/customer, and values that must be unique
  # in uniqueness_checks.tf.

  validation {
    condition     = var.billing_account != null || alltrue([for customer in var.customers : customer.monthly_budget == null])
    error_message = "monthly_budget needs billing_account: write billing_account = \"XXXXXX-XXXXXX-XXXXXX\" beside customers, or leave monthly_budget out of ${join(", ", [for name, customer in var.customers : name if customer.monthly_budget != null])}."
  }
}

variable "name_prefix" {
  description = "Prefix of the names of the buckets and the service accounts."
  type        = string
  nullable    = false
  default     = "gcs-uploader"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,18}[a-z0-9]$", var.name_prefix)) && !can(regex("goog|g00g", var.name_prefix))
    error_message = "name_prefix is \"${var.name_prefix}\": write 4 to 20 lower-case letters, digits and hyphens, beginning with a letter, not ending with a hyphen and without \"google\", such as \"gcs-uploader\"."
  }
}

variable "role_id" {
  description = "The id of the custom role that every uploader has on its own bucket."
  type        = string
  nullable    = false
  default     = "gcsUploader"

  validation {
    condition     = can(regex("^[A-Za-z0-9_.]{3,64}$", var.role_id))
    error_message = "role_id is \"${var.role_id}\": write 3 to 64 letters, digits, underscores and dots, such as \"gcsUploader\"; hyphens are not allowed there."
  }
}

variable "labels" {
  description = "Labels for every bucket in addition to those in a customer's entry."
  type        = map(string)
  nullable    = false
  default     = {}

  validation {
    condition = alltrue([
      for key, value in var.labels :
      can(regex("^[a-z][a-z0-9_-]{0,62}$", key)) && can(regex("^[a-z0-9_-]{0,63}$", value)) && !contains(["customer", "app"], key)
    ])
    error_message = "labels are keys of 1 to 63 and values of up to 63 lower-case letters, digits, underscores and hyphens, a key beginning with a letter and being neither \"customer\" nor \"app\", which are set already."
  }
}

variable "access_log_bucket" {
  description = "An existing bucket for the buckets' usage logs, a folder for each customer. Null: none; Cloud Audit Logs are the better source."
  type        = string
  default     = null

  validation {
    condition     = var.access_log_bucket == null || can(regex("^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$", var.access_log_bucket))
    error_message = "access_log_bucket is \"${coalesce(var.access_log_bucket, "null")}\": write the name of a bucket, without gs:// and without a folder."
  }
}

variable "ingress_domain" {
  description = "The domain under which every customer gets a host name: `<name>.<ingress_domain>`, unless the entry has a `host`."
  type        = string
  nullable    = false
  default     = "uploads.example.com"

  validation {
    condition     = length(var.ingress_domain) <= 200 && can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+$", var.ingress_domain))
    error_message = "ingress_domain is \"${var.ingress_domain}\": write a domain in lower case, without scheme, port and path, such as \"uploads.example.com\"."
  }
}

variable "alert_emails" {
  description = "The e-mail addresses that are notified of failed uploads and of budgets."
  type        = list(string)
  nullable    = false
  default     = []

  validation {
    condition = alltrue([
      for email in var.alert_emails : can(regex("^[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\\.[A-Za-z0-9-]+)+$", email))
    ]) && length(distinct(var.alert_emails)) == length(var.alert_emails)
    error_message = "alert_emails has ${join(", ", [for email in var.alert_emails : format("%q", email)])}: write plain and different addresses, such as \"on-call@example.com\", without names and angle brackets."
  }
}

variable "billing_account" {
  description = "The billing account that pays for `project_id`. Required for `monthly_budget`."
  type        = string
  default     = null

  validation {
    condition     = var.billing_account == null || can(regex("^[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}$", var.billing_account))
    error_message = "billing_account is \"${coalesce(var.billing_account, "null")}\": write the account's id, such as \"012345-6789AB-CDEF01\" (gcloud billing accounts list)."
  }
}

variable "budget_currency" {
  description = "The currency of the billing account, as three letters."
  type        = string
  nullable    = false
  default     = "EUR"

  validation {
    condition     = can(regex("^[A-Z]{3}$", var.budget_currency))
    error_message = "budget_currency is \"${var.budget_currency}\": write the three letters of ISO 4217, such as \"EUR\"; it must be the currency of the billing account."
  }
}

variable "image_registry" {
  description = "An Artifact Registry repository for the image, and who pushes to it: GitHub's workflows of one repository, without a key. `github_repository` is OWNER/NAME; `github_repository_id` is its number (`gh api repos/OWNER/NAME --jq .id`), which a later owner of the name cannot have; `pushing_refs` are the refs whose workflows may push, a star at the end standing for anything; `readers` are the principals that pull, such as the nodes' service account. Null: none."
  type = object({
    location             = string
    repository_id        = optional(string, "gcs-uploader")
    github_repository    = string
    github_repository_id = string
    pushing_refs         = optional(list(string), ["refs/heads/main", "refs/tags/v*"])
    readers              = optional(list(string), [])
    kms_key_name         = optional(string)
  })
  default = null

  validation {
    condition = var.image_registry == null || (
      can(regex("^[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}$", var.image_registry.github_repository)) &&
      can(regex("^[1-9][0-9]{0,18}$", var.image_registry.github_repository_id))
    )
    error_message = "image_registry: write github_repository as OWNER/NAME and github_repository_id as the number that `gh api repos/OWNER/NAME --jq .id` prints."
  }

  validation {
    condition = var.image_registry == null || (
      can(regex("^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", var.image_registry.repository_id)) &&
      can(regex("^[a-z]+(-[a-z]+[0-9]{1,2})?$", var.image_registry.location))
    )
    error_message = "image_registry: write location as a region (\"europe-west3\") or a multi-region (\"europe\"), and repository_id as up to 63 lower-case letters, digits and hyphens, beginning with a letter."
  }

  validation {
    condition = var.image_registry == null || try(
      length(var.image_registry.pushing_refs) >= 1 &&
      alltrue([for ref in var.image_registry.pushing_refs : can(regex("^refs/(heads|tags)/[A-Za-z0-9._/-]+\\*?$", ref))]),
      false
    )
    error_message = "image_registry.pushing_refs is a list of at least one full ref, such as \"refs/heads/main\" or \"refs/tags/v*\"; a star is allowed only at the end, and not alone."
  }

  validation {
    condition = var.image_registry == null || try(
      alltrue([for reader in var.image_registry.readers : can(regex("^(serviceAccount|user|group|principal|principalSet):[^\\s]+$", reader))]),
      false
    )
    error_message = "image_registry.readers are principals with their kind in front, such as \"serviceAccount:nodes@uploads-prod.iam.gserviceaccount.com\"; allUsers is not allowed."
  }
}

variable "overlays_dir" {
  description = "The folder in which every customer's overlay is generated. Null: `kustomize/overlays` of this repository."
  type        = string
  default     = null
}

variable "generated_dir" {
  description = "The folder in which the Secrets' manifests are generated; git must ignore it. Null: `generated` beside this file."
  type        = string
  default     = null
}
