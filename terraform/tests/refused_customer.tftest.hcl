# What one customer's entry must not say. Each run has one slip and expects the validation of just that field.

mock_provider "google" {}
mock_provider "local" {}
mock_provider "random" {}

variables {
  name          = "customer-a"
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

run "a_name_in_capitals" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    name = "Customer-A"
  }
  expect_failures = [var.name]
}

run "a_name_with_an_underscore" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    name = "customer_a"
  }
  expect_failures = [var.name]
}

run "a_name_that_begins_with_a_digit" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    name = "1st-customer"
  }
  expect_failures = [var.name]
}

run "a_name_that_ends_with_a_hyphen" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    name = "customer-"
  }
  expect_failures = [var.name]
}

run "a_name_of_31_characters" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    name = "a-customer-name-of-thirty1-char"
  }
  expect_failures = [var.name]
}

run "an_empty_name" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    name = ""
  }
  expect_failures = [var.name]
}

run "a_path_for_a_name" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    name = "../customer-b"
  }
  expect_failures = [var.name]
}

run "a_name_that_looks_like_google" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    name = "my-google"
  }
  expect_failures = [var.name]
}

run "a_prefix_that_is_too_long" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    name_prefix = "a-prefix-of-21-charac"
  }
  expect_failures = [var.name_prefix]
}

run "a_project_number_for_its_id" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    project_id = "123456789012"
  }
  expect_failures = [var.project_id]
}

run "a_label_in_capitals" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    labels = { Tier = "gold" }
  }
  expect_failures = [var.labels]
}

run "a_label_that_is_set_already" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    labels = { customer = "somebody-else" }
  }
  expect_failures = [var.labels]
}

run "a_bucket_url_for_its_name" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    bucket_name = "gs://bucket-a"
  }
  expect_failures = [var.bucket_name]
}

run "a_bucket_that_begins_with_goog" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    bucket_name = "goog-bucket-a"
  }
  expect_failures = [var.bucket_name]
}

run "a_location_that_is_none" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    location = "Europe, West"
  }
  expect_failures = [var.location]
}

run "a_storage_class_that_is_none" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    storage_class = "standard"
  }
  expect_failures = [var.storage_class]
}

run "a_prefix_without_its_slash" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    object_prefix = "uploads"
  }
  expect_failures = [var.object_prefix]
}

run "a_prefix_that_climbs" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    object_prefix = "../"
  }
  expect_failures = [var.object_prefix]
}

run "a_prefix_with_a_quote" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    object_prefix = "a\"b/"
  }
  expect_failures = [var.object_prefix]
}

run "versioning_with_retention" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    versioning     = true
    retention_days = 30
  }
  expect_failures = [var.versioning]
}

run "expiry_of_versions_there_are_none_of" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    noncurrent_expire_after_days = 30
  }
  expect_failures = [var.noncurrent_expire_after_days]
}

run "expiry_of_versions_after_half_a_day" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    versioning                   = true
    noncurrent_expire_after_days = 0.5
  }
  expect_failures = [var.noncurrent_expire_after_days]
}

run "retention_of_nothing" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    retention_days = 0
  }
  expect_failures = [var.retention_days]
}

run "retention_beyond_a_century" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    retention_days = 36501
  }
  expect_failures = [var.retention_days]
}

run "expiry_before_it_begins" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    expire_after_days = 0
  }
  expect_failures = [var.expire_after_days]
}

run "expiry_within_the_retention" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    expire_after_days = 10
    retention_days    = 30
  }
  expect_failures = [var.expire_after_days]
}

run "a_class_that_is_not_colder" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    colder_classes = [{ after_days = 30, storage_class = "STANDARD" }]
  }
  expect_failures = [var.colder_classes]
}

run "colder_classes_out_of_order" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    colder_classes = [{ after_days = 90, storage_class = "ARCHIVE" }, { after_days = 30, storage_class = "NEARLINE" }]
  }
  expect_failures = [var.colder_classes]
}

run "colder_after_expiry" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    expire_after_days = 30
    colder_classes    = [{ after_days = 60, storage_class = "NEARLINE" }]
  }
  expect_failures = [var.colder_classes]
}

run "soft_delete_of_three_days" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    soft_delete_days = 3
  }
  expect_failures = [var.soft_delete_days]
}

run "a_key_by_its_short_name" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    kms_key_name = "my-key"
  }
  expect_failures = [var.kms_key_name]
}

run "a_log_bucket_with_a_folder" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    access_log_bucket = "logs/customer-a"
  }
  expect_failures = [var.access_log_bucket]
}

run "a_predefined_role" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    role_name = "roles/storage.admin"
  }
  expect_failures = [var.role_name]
}

run "an_identity_that_is_none" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    identity = "password"
  }
  expect_failures = [var.identity]
}

run "impersonation_with_a_key" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    identity      = "key"
    impersonation = true
  }
  expect_failures = [var.impersonation]
}

run "an_e_mail_for_a_service_account_id" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    identity           = "key"
    service_account_id = "me@uploads-prod.iam.gserviceaccount.com"
  }
  expect_failures = [var.service_account_id]
}

run "the_cluster_s_own_namespace" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    namespace = "kube-system"
  }
  expect_failures = [var.namespace]
}

run "a_namespace_in_capitals" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    namespace = "Tenant-A"
  }
  expect_failures = [var.namespace]
}

run "a_kubernetes_service_account_in_capitals" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    kubernetes_service_account = "Uploader"
  }
  expect_failures = [var.kubernetes_service_account]
}

run "workload_identity_without_a_cluster" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    workload_pool = null
  }
  expect_failures = [var.workload_pool]
}

run "no_key_at_all" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    identity     = "key"
    key_versions = []
  }
  expect_failures = [var.key_versions]
}

run "one_key_twice" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    identity     = "key"
    key_versions = ["1", "1"]
  }
  expect_failures = [var.key_versions]
}

run "a_host_with_a_scheme" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    host = "https://customer-a.example.com"
  }
  expect_failures = [var.host]
}

run "a_size_with_an_unknown_unit" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    sizes = { upload_size = "1 Mo" }
  }
  expect_failures = [var.sizes]
}

run "no_workers" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    sizes = { workers = 0 }
  }
  expect_failures = [var.sizes]
}

run "fewer_replicas_at_most_than_at_least" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    sizes = { min_replicas = 4, max_replicas = 2 }
  }
  expect_failures = [var.sizes]
}

run "a_quota_without_room_for_a_roll_out" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    sizes = { max_replicas = 6, quota_pods = 6 }
  }
  expect_failures = [var.sizes]
}

run "a_cpu_quota_below_what_the_pods_ask_for" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    sizes = { cpu_request = "1", quota_cpu = "6500m" }
  }
  expect_failures = [var.sizes]
}

run "a_memory_quota_below_the_pods_limits" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    sizes = { memory_limit = "512Mi", quota_memory = "3Gi" }
  }
  expect_failures = [var.sizes]
}

run "a_memory_limit_below_the_request" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    sizes = { memory_request = "512Mi" }
  }
  expect_failures = [var.sizes]
}

run "a_memory_limit_without_room_for_the_workers" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    sizes = { workers = 49 }
  }
  expect_failures = [var.sizes]
}

run "a_cpu_in_words" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    sizes = { cpu_request = "one" }
  }
  expect_failures = [var.sizes]
}

run "memory_without_a_unit" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    sizes = { memory_limit = "128" }
  }
  expect_failures = [var.sizes]
}

run "a_component_that_is_not_there" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    components = ["ingress-of-dreams"]
  }
  expect_failures = [var.components]
}

run "a_component_elsewhere" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    components = ["../template"]
  }
  expect_failures = [var.components]
}

run "a_kustomize_folder_without_a_template" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    kustomize_dir = "modules"
  }
  expect_failures = [var.kustomize_dir]
}

run "an_alert_within_no_time" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    failed_upload_alert  = { within_minutes = 0 }
    failed_upload_metric = { project_id = "uploads-prod", name = "gcs-uploader/failed-uploads" }
  }
  expect_failures = [var.failed_upload_alert]
}

run "an_alert_without_its_metric" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    failed_upload_alert = {}
  }
  expect_failures = [var.failed_upload_metric]
}

run "a_budget_of_nothing" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    monthly_budget = 0
    budget_account = { billing_account = "012345-6789AB-CDEF01", currency = "EUR", project_number = "123456789012" }
  }
  expect_failures = [var.monthly_budget]
}

run "a_budget_without_an_account" {
  command = plan
  module {
    source = "./modules/customer"
  }
  variables {
    monthly_budget = 100
  }
  expect_failures = [var.budget_account]
}
