# The registry of the image, and how GitHub's workflows push to it without a key. Once, not per customer.

locals {
  image_registry = var.image_registry == null ? {} : { this = var.image_registry }

  # GitHub states the ref of the run in its token; CEL has no wildcard, but startsWith.
  pushing_ref_conditions = var.image_registry == null ? [] : [
    for ref in var.image_registry.pushing_refs :
    endswith(ref, "*") ? "assertion.ref.startsWith('${trimsuffix(ref, "*")}')" : "assertion.ref == '${ref}'"
  ]
}

resource "google_artifact_registry_repository" "images" {
  for_each = local.image_registry

  project       = var.project_id
  location      = each.value.location
  repository_id = each.value.repository_id
  format        = "DOCKER"
  description   = "Images of gcs-uploader."
  kms_key_name  = each.value.kms_key_name

  # A tag that is deployed always means the image that was tested under it.
  docker_config {
    immutable_tags = true
  }

  depends_on = [google_project_service.needed]
}

resource "google_artifact_registry_repository_iam_binding" "readers" {
  for_each = { for key, registry in local.image_registry : key => registry if length(registry.readers) > 0 }

  project    = var.project_id
  location   = google_artifact_registry_repository.images[each.key].location
  repository = google_artifact_registry_repository.images[each.key].repository_id
  role       = "roles/artifactregistry.reader"
  members    = each.value.readers
}

resource "google_iam_workload_identity_pool" "github" {
  for_each = local.image_registry

  project                   = var.project_id
  workload_identity_pool_id = "${var.name_prefix}-github"
  display_name              = "GitHub workflows"
  description               = "Pushes images of gcs-uploader from ${each.value.github_repository}."

  depends_on = [google_project_service.needed]
}

resource "google_iam_workload_identity_pool_provider" "github" {
  #checkov:skip=CKV_GCP_125:The check reads only assertion.sub, which holds the repository's name; the condition below asks for its number, which a later owner of the name cannot have, and for the ref.

  for_each = local.image_registry

  project                            = var.project_id
  workload_identity_pool_id          = google_iam_workload_identity_pool.github[each.key].workload_identity_pool_id
  workload_identity_pool_provider_id = "github"
  display_name                       = "GitHub"

  attribute_mapping = {
    "google.subject"          = "assertion.sub"
    "attribute.repository_id" = "assertion.repository_id"
    "attribute.ref"           = "assertion.ref"
  }
  # Anybody on GitHub can get a token from this issuer: only this condition restricts who may use it.
  attribute_condition = "assertion.repository == '${each.value.github_repository}' && assertion.repository_id == '${each.value.github_repository_id}' && (${join(" || ", local.pushing_ref_conditions)})"

  oidc {
    issuer_uri = "https://token.actions.githubusercontent.com"
  }
}

resource "google_artifact_registry_repository_iam_binding" "writers" {
  for_each = local.image_registry

  project    = var.project_id
  location   = google_artifact_registry_repository.images[each.key].location
  repository = google_artifact_registry_repository.images[each.key].repository_id
  role       = "roles/artifactregistry.writer"
  members = [
    "principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.github[each.key].name}/attribute.repository_id/${each.value.github_repository_id}",
  ]
}
