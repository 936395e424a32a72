output "customers" {
  description = "The resources of each customer: bucket, namespace, host, Google service account (null if there is none), the identities that may write to the bucket, and the generated files."
  value = {
    for name, customer in module.customer : name => {
      bucket                = customer.bucket
      namespace             = customer.namespace
      host                  = local.hosts[name]
      service_account_email = customer.service_account_email
      grant                 = customer.grant
      overlay_file          = customer.overlay_file
      secret_file           = customer.secret_file
    }
  }

  precondition {
    condition     = length(local.shared_service_accounts) == 0
    error_message = "Customers would share a Google service account, because its id is cut to 30 characters: ${join("; ", local.shared_service_accounts)}. Choose names that differ earlier, a shorter name_prefix, or a service_account_id for each."
  }

  precondition {
    condition     = length(local.shared_namespaces) == 0
    error_message = "Customers would share a namespace: ${join("; ", local.shared_namespaces)}. Set a different namespace for each, or omit it."
  }

  precondition {
    condition     = length(local.shared_buckets) == 0
    error_message = "Customers would share a bucket: ${join("; ", local.shared_buckets)}. Set a different bucket_name for each, or omit it."
  }

  precondition {
    condition     = length(local.shared_hosts) == 0
    error_message = "Customers would share a host name: ${join("; ", local.shared_hosts)}. Set a different host for each, or omit it."
  }

  precondition {
    condition     = length(local.unknown_fields) == 0
    error_message = "Unknown field: ${join(", ", local.unknown_fields)}. Check the spelling; README.md lists the fields of a customer under `customers`."
  }
}

output "role" {
  description = "The role that every uploader has on its own bucket, and what it permits."
  value = {
    name        = google_project_iam_custom_role.uploader.name
    permissions = google_project_iam_custom_role.uploader.permissions
  }
}

output "cluster_project" {
  description = "The id and number of the project that the GKE cluster is in; the number is null if no customer uses workload identity."
  value = {
    id     = local.cluster_project_id
    number = var.cluster_project_number != null ? var.cluster_project_number : one(data.google_project.cluster[*].number)
  }
}

output "image_registry" {
  description = "For the workflow that pushes: the repository's address and the workload identity provider's full name. Null if there is no registry."
  value = one([
    for key, repository in google_artifact_registry_repository.images : {
      address                    = "${repository.location}-docker.pkg.dev/${var.project_id}/${repository.repository_id}"
      workload_identity_provider = google_iam_workload_identity_pool_provider.github[key].name
    }
  ])
}
