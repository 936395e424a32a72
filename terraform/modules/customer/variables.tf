# ---------------------------------------------------------------- name and place

variable "name" {
  description = "The customer's name. It becomes part of the bucket's name, of the service account's id and of the namespace, and the value of the label `customer`."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$", var.name))
    error_message = "The customer name \"${var.name}\" cannot be used: write 1 to 30 lower-case letters, digits and hyphens, beginning with a letter and not ending with a hyphen, such as \"customer-a\"."
  }

  validation {
    condition     = !can(regex("goog|g00g", var.name))
    error_message = "The customer name \"${var.name}\" cannot be part of a bucket's name: Cloud Storage refuses names that contain \"google\" or look like it. Write another name and keep the old one as a label."
  }
}

variable "name_prefix" {
  description = "What the names of the bucket, the service account and the namespace begin with."
  type        = string
  nullable    = false
  default     = "gcs-uploader"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,18}[a-z0-9]$", var.name_prefix)) && !can(regex("goog|g00g", var.name_prefix))
    error_message = "name_prefix is \"${var.name_prefix}\": write 4 to 20 lower-case letters, digits and hyphens, beginning with a letter, not ending with a hyphen and without \"google\", such as \"gcs-uploader\"."
  }
}

variable "project_id" {
  description = "The id of the project that holds the bucket and, where there is one, the service account."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id is \"${var.project_id}\": write the project's id, not its name or number: 6 to 30 lower-case letters, digits and hyphens, such as \"uploads-prod\"."
  }
}

variable "labels" {
  description = "Labels for the bucket, beside `customer` and `app`, which are always set."
  type        = map(string)
  nullable    = false
  default     = {}

  validation {
    condition = alltrue([
      for key, value in var.labels :
      can(regex("^[a-z][a-z0-9_-]{0,62}$", key)) && can(regex("^[a-z0-9_-]{0,63}$", value))
    ])
    error_message = "${var.name}: labels are keys of 1 to 63 and values of up to 63 lower-case letters, digits, underscores and hyphens, a key beginning with a letter, such as { cost_centre = \"4711\" }."
  }

  validation {
    condition     = length(setintersection(keys(var.labels), ["customer", "app"])) == 0 && length(var.labels) <= 62
    error_message = "${var.name}: leave out the labels \"customer\" and \"app\", they are set already, and write at most 62 others."
  }
}

# ---------------------------------------------------------------- the bucket

variable "bucket_name" {
  description = "The bucket's name. Null: `<name_prefix>-<name>-<8 random hex digits>`, drawn once and kept in the state."
  type        = string
  default     = null

  validation {
    condition     = var.bucket_name == null || can(regex("^[a-z0-9][a-z0-9_-]{1,61}[a-z0-9]$", var.bucket_name))
    error_message = "${var.name}: bucket_name is \"${coalesce(var.bucket_name, "null")}\": write 3 to 63 lower-case letters, digits, hyphens and underscores, beginning and ending with a letter or digit, or leave it out."
  }

  validation {
    condition     = var.bucket_name == null || !can(regex("^goog|google|g00gle", var.bucket_name))
    error_message = "${var.name}: bucket_name is \"${coalesce(var.bucket_name, "null")}\": Cloud Storage refuses names that begin with \"goog\" or contain \"google\"; write another, or leave it out."
  }
}

variable "location" {
  description = "Where the bucket is: a multi-region (`EU`, `US`, `ASIA`), a dual-region (`EUR4`) or a region (`europe-west3`). A change replaces the bucket."
  type        = string
  nullable    = false
  default     = "EU"

  validation {
    condition     = can(regex("^([A-Z]{2,4}[0-9]?|[a-z]+-[a-z]+[0-9]{1,2}|[A-Z]+-[A-Z]+[0-9]{1,2})$", var.location))
    error_message = "${var.name}: location is \"${var.location}\": write a multi-region such as \"EU\", a dual-region such as \"EUR4\" or a region such as \"europe-west3\"."
  }
}

variable "storage_class" {
  description = "The class of new objects: STANDARD, NEARLINE, COLDLINE or ARCHIVE."
  type        = string
  nullable    = false
  default     = "STANDARD"

  validation {
    condition     = contains(["STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"], var.storage_class)
    error_message = "${var.name}: storage_class is \"${var.storage_class}\": write STANDARD, NEARLINE, COLDLINE or ARCHIVE."
  }
}

variable "object_prefix" {
  description = "Prefix of every object's name, such as `uploads/`. If it is set, the identity can access only objects under it."
  type        = string
  nullable    = false
  default     = ""

  validation {
    condition = var.object_prefix == "" || (
      can(regex("^([A-Za-z0-9][A-Za-z0-9._-]*/)+$", var.object_prefix)) && length(var.object_prefix) <= 200
    )
    error_message = "${var.name}: object_prefix is \"${var.object_prefix}\": write folders of letters, digits, dots, underscores and hyphens, each followed by a slash, at most 200 characters, such as \"uploads/\"; without the last slash the permission would also cover other prefixes that begin the same way."
  }
}

variable "versioning" {
  description = "If true, the bucket keeps objects that an operator overwrites or deletes as noncurrent versions. (The uploader itself can do neither.)"
  type        = bool
  nullable    = false
  default     = false

  validation {
    condition     = !(var.versioning && var.retention_days != null)
    error_message = "${var.name}: Cloud Storage does not allow both versioning and retention_days for a bucket: omit one."
  }
}

variable "noncurrent_expire_after_days" {
  description = "Days after which a noncurrent version is deleted; needs `versioning`. Null: kept forever."
  type        = number
  default     = null

  validation {
    condition = var.noncurrent_expire_after_days == null || (
      coalesce(var.noncurrent_expire_after_days, 0) >= 1 &&
      floor(coalesce(var.noncurrent_expire_after_days, 0)) == var.noncurrent_expire_after_days
    )
    error_message = "${var.name}: noncurrent_expire_after_days is ${coalesce(var.noncurrent_expire_after_days, 0)}: write a whole number of days from 1 on."
  }

  validation {
    condition     = var.noncurrent_expire_after_days == null || var.versioning
    error_message = "${var.name}: noncurrent_expire_after_days has no effect without versioning: set versioning = true, or omit it."
  }
}

variable "retention_days" {
  description = "Days during which nobody can delete or replace an object. The policy is not locked: an owner of the project can lift it. Null: none."
  type        = number
  default     = null

  validation {
    condition = var.retention_days == null || (
      coalesce(var.retention_days, 0) >= 1 && coalesce(var.retention_days, 0) <= 36500 &&
      floor(coalesce(var.retention_days, 0)) == var.retention_days
    )
    error_message = "${var.name}: retention_days is ${coalesce(var.retention_days, 0)}: write a whole number of days from 1 to 36500 (100 years)."
  }
}

variable "expire_after_days" {
  description = "Days after which an object is deleted. Null: never."
  type        = number
  default     = null

  validation {
    condition = var.expire_after_days == null || (
      coalesce(var.expire_after_days, 0) >= 1 &&
      floor(coalesce(var.expire_after_days, 0)) == var.expire_after_days
    )
    error_message = "${var.name}: expire_after_days is ${coalesce(var.expire_after_days, 0)}: use a whole number of days, at least 1, or omit it to keep objects forever."
  }

  validation {
    condition     = var.expire_after_days == null || coalesce(var.expire_after_days, 0) >= coalesce(var.retention_days, 0)
    error_message = "${var.name}: expire_after_days (${coalesce(var.expire_after_days, 0)}) ends before retention_days (${coalesce(var.retention_days, 0)}): use at least as many days."
  }
}

variable "colder_classes" {
  description = "Moves of objects to a colder class, such as `[{ after_days = 30, storage_class = \"NEARLINE\" }]`, earliest first."
  type = list(object({
    after_days    = number
    storage_class = string
  }))
  nullable = false
  default  = []

  validation {
    condition = alltrue([
      for step in var.colder_classes :
      contains(["NEARLINE", "COLDLINE", "ARCHIVE"], step.storage_class) && step.after_days >= 1 && floor(step.after_days) == step.after_days
    ])
    error_message = "${var.name}: each entry of colder_classes needs a whole number of after_days from 1 on and a storage_class of NEARLINE, COLDLINE or ARCHIVE."
  }

  validation {
    condition = alltrue([
      for n in range(max(length(var.colder_classes) - 1, 0)) :
      var.colder_classes[n].after_days < var.colder_classes[n + 1].after_days &&
      index(["STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"], var.colder_classes[n].storage_class) <
      index(["STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"], var.colder_classes[n + 1].storage_class)
      if alltrue([for step in var.colder_classes : contains(["NEARLINE", "COLDLINE", "ARCHIVE"], step.storage_class)])
    ])
    error_message = "${var.name}: colder_classes goes from the earliest to the latest and from the warmer to the colder class (NEARLINE, COLDLINE, ARCHIVE): put the entries in that order."
  }

  validation {
    condition = var.expire_after_days == null || alltrue([
      for step in var.colder_classes : step.after_days < coalesce(var.expire_after_days, 0)
    ])
    error_message = "${var.name}: colder_classes moves objects after they have expired (expire_after_days = ${coalesce(var.expire_after_days, 0)}): write fewer days, or leave the entry out."
  }
}

variable "soft_delete_days" {
  description = "Days during which a deleted object can be restored (and is paid for): 0 for none, or 7 to 90."
  type        = number
  nullable    = false
  default     = 7

  validation {
    condition     = var.soft_delete_days == 0 || (var.soft_delete_days >= 7 && var.soft_delete_days <= 90 && floor(var.soft_delete_days) == var.soft_delete_days)
    error_message = "${var.name}: soft_delete_days is ${var.soft_delete_days}: write 0 for none, or a whole number of days from 7 to 90."
  }
}

variable "kms_key_name" {
  description = "The Cloud KMS key that encrypts new objects, as `projects/P/locations/L/keyRings/R/cryptoKeys/K`, in the bucket's location. Null: a key that Google manages."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_name == null || can(regex("^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$", var.kms_key_name))
    error_message = "${var.name}: kms_key_name is \"${coalesce(var.kms_key_name, "null")}\": write the key's full name, such as \"projects/P/locations/europe-west3/keyRings/R/cryptoKeys/K\", without a version."
  }
}

variable "force_destroy" {
  description = "If true, the bucket may be destroyed with objects in it. It must be applied before the customer is removed."
  type        = bool
  nullable    = false
  default     = false
}

variable "access_log_bucket" {
  description = "The bucket for the usage logs of this one. Null: none; Cloud Audit Logs are the better source."
  type        = string
  default     = null

  validation {
    condition     = var.access_log_bucket == null || can(regex("^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$", var.access_log_bucket))
    error_message = "access_log_bucket is \"${coalesce(var.access_log_bucket, "null")}\": write the name of a bucket, without gs:// and without a folder."
  }
}

# ---------------------------------------------------------------- the identity

variable "role_name" {
  description = "The full name of the role to bind on the bucket, such as `projects/P/roles/gcsUploader`."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^(projects|organizations)/[^/]+/roles/[A-Za-z0-9_.]{3,64}$", var.role_name))
    error_message = "role_name is \"${var.role_name}\": write a custom role's full name, such as \"projects/P/roles/gcsUploader\"; a predefined role permits more than an uploader needs."
  }
}

variable "identity" {
  description = "How the instance authenticates to Google Cloud: `workload-identity` (GKE; no key anywhere) or `key` (anywhere else; a service account's key in a Secret)."
  type        = string
  nullable    = false
  default     = "workload-identity"

  validation {
    condition     = contains(["workload-identity", "key"], var.identity)
    error_message = "${var.name}: identity is \"${var.identity}\": write \"workload-identity\" (GKE) or \"key\" (anywhere else)."
  }
}

variable "impersonation" {
  description = "With `workload-identity`: if true, the Kubernetes service account impersonates a Google service account of the customer, for clusters and organizations that require one."
  type        = bool
  nullable    = false
  default     = false

  validation {
    condition     = !(var.impersonation && var.identity == "key")
    error_message = "${var.name}: impersonation requires identity = \"workload-identity\": omit one of the two."
  }
}

variable "service_account_id" {
  description = "The Google service account's id, if there is one. Null: `<name_prefix>-<name>`, cut to the 30 characters that Google allows."
  type        = string
  default     = null

  validation {
    condition     = var.service_account_id == null || can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.service_account_id))
    error_message = "${var.name}: service_account_id is \"${coalesce(var.service_account_id, "null")}\": write 6 to 30 lower-case letters, digits and hyphens, beginning with a letter and not ending with a hyphen; not an e-mail address."
  }
}

variable "namespace" {
  description = "The Kubernetes namespace of the instance. Null: `gcs-uploader-<name>`."
  type        = string
  default     = null

  validation {
    condition     = var.namespace == null || can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", var.namespace))
    error_message = "${var.name}: namespace is \"${coalesce(var.namespace, "null")}\": write 1 to 63 lower-case letters, digits and hyphens, neither beginning nor ending with a hyphen."
  }

  validation {
    condition     = var.namespace == null || !can(regex("^(kube-.*|default|gke-.*|gmp-.*)$", var.namespace))
    error_message = "${var.name}: namespace is \"${coalesce(var.namespace, "null")}\", which is reserved for the cluster: use a different one."
  }
}

variable "kubernetes_service_account" {
  description = "The name of the instance's Kubernetes service account, as in the base in `k8s/`."
  type        = string
  nullable    = false
  default     = "gcs-uploader"

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", var.kubernetes_service_account))
    error_message = "kubernetes_service_account is \"${var.kubernetes_service_account}\": write 1 to 63 lower-case letters, digits and hyphens."
  }
}

variable "workload_pool" {
  description = "The workload identity pool of the cluster's project. Null if no customer uses `workload-identity`."
  type = object({
    project_id     = string
    project_number = string
  })
  default = null

  validation {
    condition     = var.workload_pool != null || var.identity == "key"
    error_message = "${var.name}: identity = \"workload-identity\" needs the project id and number of the cluster in workload_pool."
  }
}

variable "key_versions" {
  description = "With `key`: a name for each key that is valid. The last one is in the Secret. To rotate, append a name; when the instance runs with the new key, remove the old name."
  type        = list(string)
  nullable    = false
  default     = ["1"]

  validation {
    condition = (
      length(var.key_versions) >= 1 && length(var.key_versions) <= 9 &&
      length(distinct(var.key_versions)) == length(var.key_versions) &&
      alltrue([for version in var.key_versions : can(regex("^[A-Za-z0-9._-]{1,63}$", version))])
    )
    error_message = "${var.name}: key_versions is a list of 1 to 9 different names of letters, digits, dots, underscores and hyphens (a Google service account holds 10 keys, and a rotation needs room for one), such as [\"2026-01\", \"2026-07\"]."
  }
}

# ---------------------------------------------------------------- the overlay

variable "host" {
  description = "The host name of the instance."
  type        = string
  nullable    = false

  validation {
    condition     = length(var.host) <= 253 && can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+$", var.host))
    error_message = "${var.name}: host is \"${var.host}\": write a full host name in lower case, without scheme, port and path, such as \"customer-a.uploads.example.com\"."
  }
}

variable "sizes" {
  description = "The settings of the instance and the quota of its namespace, for the overlay: sizes in the binary's notation (`1MiB`), quantities in that of Kubernetes (`100m`, `64Mi`)."
  type = object({
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
  })
  nullable = false
  default  = {}

  validation {
    condition = alltrue([
      for size in [var.sizes.upload_size, var.sizes.max_upload_size] :
      can(regex("^(?i)[0-9]{1,15}(b|[kmgt]i?b)?$", size))
    ])
    error_message = "${var.name}: sizes.upload_size (\"${var.sizes.upload_size}\") and sizes.max_upload_size (\"${var.sizes.max_upload_size}\") must be in bytes or with a unit: \"1048576\", \"1MiB\", \"5GB\"."
  }

  validation {
    condition     = var.sizes.workers >= 1 && var.sizes.workers <= 4096 && floor(var.sizes.workers) == var.sizes.workers
    error_message = "${var.name}: sizes.workers is ${var.sizes.workers}: use a whole number from 1 to 4096, the number of concurrent uploads in one pod."
  }

  validation {
    condition = (
      var.sizes.min_replicas >= 1 && var.sizes.max_replicas >= var.sizes.min_replicas && var.sizes.max_replicas <= 1000 &&
      floor(var.sizes.min_replicas) == var.sizes.min_replicas && floor(var.sizes.max_replicas) == var.sizes.max_replicas
    )
    error_message = "${var.name}: sizes.min_replicas (${var.sizes.min_replicas}) and sizes.max_replicas (${var.sizes.max_replicas}) must be whole numbers, the first at least 1, the second at least the first and at most 1000."
  }

  validation {
    condition = alltrue([
      for quantity in [var.sizes.cpu_request, var.sizes.quota_cpu] : can(regex("^[1-9][0-9]{0,6}m?$", quantity))
    ])
    error_message = "${var.name}: sizes.cpu_request (\"${var.sizes.cpu_request}\") and sizes.quota_cpu (\"${var.sizes.quota_cpu}\") must be CPUs or thousandths of one: \"4\", \"250m\"."
  }

  validation {
    condition = alltrue([
      for quantity in [var.sizes.memory_request, var.sizes.memory_limit, var.sizes.quota_memory] : can(regex("^[1-9][0-9]{0,6}(Mi|Gi)$", quantity))
    ])
    error_message = "${var.name}: sizes.memory_request (\"${var.sizes.memory_request}\"), memory_limit (\"${var.sizes.memory_limit}\") and quota_memory (\"${var.sizes.quota_memory}\") must be in Mi or Gi: \"64Mi\", \"2Gi\"."
  }

  validation {
    condition     = var.sizes.quota_pods > var.sizes.max_replicas && var.sizes.quota_pods <= 2000 && floor(var.sizes.quota_pods) == var.sizes.quota_pods
    error_message = "${var.name}: sizes.quota_pods is ${var.sizes.quota_pods}: write a whole number above max_replicas (${var.sizes.max_replicas}), for the pod that a roll-out adds, and at most 2000."
  }

  # In thousandths of a CPU and in MiB. Other notations are rejected above.
  validation {
    condition = try(
      tonumber(trimsuffix(var.sizes.quota_cpu, "m")) * (endswith(var.sizes.quota_cpu, "m") ? 1 : 1000) >=
      tonumber(trimsuffix(var.sizes.cpu_request, "m")) * (endswith(var.sizes.cpu_request, "m") ? 1 : 1000) * (var.sizes.max_replicas + 1),
      true
    )
    error_message = "${var.name}: sizes.quota_cpu (\"${var.sizes.quota_cpu}\") has no room for ${var.sizes.max_replicas + 1} pods of cpu_request = \"${var.sizes.cpu_request}\" (max_replicas and the one that a roll-out adds): raise the quota or lower the others."
  }

  validation {
    condition = try(
      tonumber(regex("^[0-9]+", var.sizes.quota_memory)) * (endswith(var.sizes.quota_memory, "Gi") ? 1024 : 1) >=
      tonumber(regex("^[0-9]+", var.sizes.memory_limit)) * (endswith(var.sizes.memory_limit, "Gi") ? 1024 : 1) * (var.sizes.max_replicas + 1),
      true
    )
    error_message = "${var.name}: sizes.quota_memory (\"${var.sizes.quota_memory}\") has no room for ${var.sizes.max_replicas + 1} pods of memory_limit = \"${var.sizes.memory_limit}\" (max_replicas and the one that a roll-out adds): raise the quota or lower the others."
  }

  validation {
    condition = try(
      tonumber(regex("^[0-9]+", var.sizes.memory_limit)) * (endswith(var.sizes.memory_limit, "Gi") ? 1024 : 1) >=
      tonumber(regex("^[0-9]+", var.sizes.memory_request)) * (endswith(var.sizes.memory_request, "Gi") ? 1024 : 1),
      true
    )
    error_message = "${var.name}: sizes.memory_limit (\"${var.sizes.memory_limit}\") is below memory_request (\"${var.sizes.memory_request}\"): write at least as much."
  }

  # For each worker a window of a client's file (UPLOAD_WINDOW in k8s/, 4 MiB) and what it takes itself.
  validation {
    condition = try(
      tonumber(regex("^[0-9]+", var.sizes.memory_limit)) * (endswith(var.sizes.memory_limit, "Gi") ? 1024 : 1) >= 16 + 5 * var.sizes.workers,
      true
    )
    error_message = "${var.name}: sizes.memory_limit (\"${var.sizes.memory_limit}\") has no room for ${var.sizes.workers} workers: write at least \"${16 + 5 * var.sizes.workers}Mi\" (5 MiB for each and 16 besides), or fewer workers."
  }
}

variable "components" {
  description = "Further kustomize components of the overlay, by the names of their folders in `kustomize/components/`, in this order."
  type        = list(string)
  nullable    = false
  default     = ["ingress-nginx"]

  validation {
    condition = alltrue([
      for component in var.components :
      can(regex("^[a-z0-9][a-z0-9-]*$", component)) && fileexists("${var.kustomize_dir}/components/${component}/kustomization.yaml")
    ]) && length(distinct(var.components)) == length(var.components)
    error_message = "${var.name}: components has ${join(", ", [for component in var.components : format("%q", component)])}: write each once, by the name of its folder in kustomize/components/, such as \"ingress-nginx\"."
  }
}

variable "kustomize_dir" {
  description = "The folder `kustomize/` with the overlay's template and the components."
  type        = string
  nullable    = false

  validation {
    condition     = fileexists("${var.kustomize_dir}/template/kustomization.yaml.tftpl")
    error_message = "kustomize_dir is \"${var.kustomize_dir}\", which has no template/kustomization.yaml.tftpl: use the path of this repository's kustomize/."
  }
}

variable "overlays_dir" {
  description = "The folder for the overlays; each customer has a subfolder."
  type        = string
  nullable    = false
}

variable "generated_dir" {
  description = "The folder, ignored by git, for the Secrets; each customer has a subfolder."
  type        = string
  nullable    = false
}

# ---------------------------------------------------------------- alerts

variable "failed_upload_alert" {
  description = "An alert when uploads fail: more than `count` within `within_minutes`. Null: none."
  type = object({
    count          = optional(number, 5)
    within_minutes = optional(number, 10)
  })
  default = null

  validation {
    condition = var.failed_upload_alert == null || try(
      var.failed_upload_alert.count >= 0 && floor(var.failed_upload_alert.count) == var.failed_upload_alert.count &&
      var.failed_upload_alert.within_minutes >= 1 && var.failed_upload_alert.within_minutes <= 1440 &&
      floor(var.failed_upload_alert.within_minutes) == var.failed_upload_alert.within_minutes,
      false
    )
    error_message = "${var.name}: failed_upload_alert needs a whole count of at least 0 and whole within_minutes from 1 to 1440, such as { count = 5, within_minutes = 10 }."
  }
}

variable "failed_upload_metric" {
  description = "The log-based metric that counts failed uploads, and the project it is in. Required if `failed_upload_alert` is set."
  type = object({
    project_id = string
    name       = string
  })
  default = null

  validation {
    condition     = var.failed_upload_alert == null || var.failed_upload_metric != null
    error_message = "${var.name}: failed_upload_alert needs failed_upload_metric, the metric that it watches."
  }
}

variable "notification_channels" {
  description = "The Cloud Monitoring notification channels that are notified of alerts and of the budget."
  type        = list(string)
  nullable    = false
  default     = []
}

variable "monthly_budget" {
  description = "Monthly cost of the customer's bucket above which the channels are notified, in whole units of `budget_currency`. Nothing is switched off. Null: no budget."
  type        = number
  default     = null

  validation {
    condition = var.monthly_budget == null || (
      coalesce(var.monthly_budget, 0) >= 1 && floor(coalesce(var.monthly_budget, 0)) == var.monthly_budget
    )
    error_message = "${var.name}: monthly_budget is ${coalesce(var.monthly_budget, 0)}: use a whole number, at least 1, in the currency of the billing account."
  }
}

variable "budget_account" {
  description = "The billing account, its currency and the number of the project that holds the bucket. Required if `monthly_budget` is set."
  type = object({
    billing_account = string
    currency        = string
    project_number  = string
  })
  default = null

  validation {
    condition     = var.monthly_budget == null || var.budget_account != null
    error_message = "${var.name}: monthly_budget requires billing_account: set it beside the customers, or omit monthly_budget."
  }
}
