# Two customers on minikube: each has a bucket in Google Cloud, and a key for it in a Secret.
#
#   terraform init && terraform apply -var project_id=YOUR-PROJECT
#   kubectl apply -k ../../../kustomize/overlays/first
#   kubectl apply -f ../../generated/first/secret.yaml

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

variable "ingress_domain" {
  description = "A domain that ends at minikube's ingress; nip.io answers with the address in the name."
  type        = string
  default     = "192.168.49.2.nip.io"
}

provider "google" {
  project = var.project_id
}

module "uploader" {
  source = "../.."

  project_id     = var.project_id
  ingress_domain = var.ingress_domain

  customers = {
    first = {
      identity          = "key"
      location          = "europe-west3"
      expire_after_days = 7
      force_destroy     = true # these are trials: their buckets may go with what is in them
      sizes             = local.small
    }
    second = {
      identity          = "key"
      location          = "europe-west3"
      expire_after_days = 7
      force_destroy     = true
      sizes             = local.small
    }
  }
}

locals {
  small = {
    workers      = 8
    min_replicas = 1
    max_replicas = 2
    cpu_request  = "50m"
    quota_cpu    = "500m"
    quota_memory = "1Gi"
    quota_pods   = 4
  }
}

output "customers" {
  description = "What each customer has."
  value       = module.uploader.customers
}
