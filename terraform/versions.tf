terraform {
  # 1.9 lets a variable's validation look at other variables; 1.11 lets a test mock what a plan knows.
  required_version = ">= 1.11.0, < 2.0.0"

  required_providers {
    # Written for both majors; README.md lists what differs between them.
    google = {
      source  = "hashicorp/google"
      version = ">= 6.50.0, < 8.0.0"
    }
    local = {
      source  = "hashicorp/local"
      version = ">= 2.5.0, < 3.0.0"
    }
    # Built into Terraform; input_validation.tf reads the *.tfvars files with its decode_tfvars.
    terraform = {
      source = "terraform.io/builtin/terraform"
    }
    random = {
      source  = "hashicorp/random"
      version = ">= 3.6.0, < 4.0.0"
    }
  }
}
