# Two customers on an existing GKE cluster, with no key anywhere: one bound directly, one through
# a Google service account. The cluster is looked up, and refused if it has no workload identity.
#
#   terraform init && terraform apply -var project_id=YOUR-PROJECT -var cluster_name=YOUR-CLUSTER -var cluster_location=europe-west3
#   gcloud container clusters get-credentials YOUR-CLUSTER --location europe-west3
#   kubectl apply -k ../../../kustomize/overlays/first

terraform {
  required_version = ">= 1.11.0, < 2.0.0"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.50.0, < 8.0.0"
    }
  }
}

variable "project_id" {
  description = "The id of the project that holds the buckets."
  type        = string
}

variable "cluster_project_id" {
  description = "The id of the project that the cluster is in. Null: the same."
  type        = string
  default     = null
}

variable "cluster_name" {
  description = "The cluster's name."
  type        = string
}

variable "cluster_location" {
  description = "The cluster's region or zone."
  type        = string
}

provider "google" {
  project = var.project_id
}

data "google_container_cluster" "uploads" {
  project  = coalesce(var.cluster_project_id, var.project_id)
  name     = var.cluster_name
  location = var.cluster_location

  lifecycle {
    postcondition {
      condition     = try(self.workload_identity_config[0].workload_pool, "") == "${self.project}.svc.id.goog"
      error_message = "The cluster ${var.cluster_name} has no workload identity: gcloud container clusters update ${var.cluster_name} --location=${var.cluster_location} --workload-pool=${self.project}.svc.id.goog"
    }
  }
}

module "uploader" {
  source = "../.."

  project_id         = var.project_id
  cluster_project_id = data.google_container_cluster.uploads.project

  customers = {
    first = {
      components = ["ingress-gke"]
    }
    second = {
      impersonation = true
      components    = ["ingress-gke"]
    }
  }
}

output "customers" {
  description = "What each customer has."
  value       = module.uploader.customers
}
