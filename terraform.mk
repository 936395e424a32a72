# Customers, by Terraform. Included by the Makefile; `make help` lists the targets.

TERRAFORM_WORDS := terraform is needed, and is not installed; terraform/versions.tf says which version
need-terraform = command -v terraform >/dev/null || { echo "make $@: $(TERRAFORM_WORDS)" >&2; exit 127; }
TERRAFORM_PYTHON = $(or $(PYTHON),python3)

##@ Customers, by Terraform

.PHONY: customers
customers: ## Plan, apply and render everything in terraform/customers.auto.tfvars (APPROVE=yes does not ask)
	@terraform/bin/customers

.PHONY: terraform-fmt
terraform-fmt: ## Format the Terraform configuration
	@$(need-terraform)
	terraform fmt -recursive terraform

.PHONY: terraform-validate
terraform-validate: ## Check the Terraform configuration's format and validity, and run its own tests (GOOGLE='~> 6.50')
	@$(need-terraform)
	@terraform/bin/validate

.PHONY: terraform-docs
terraform-docs: ## Write the tables of inputs and outputs in terraform/README.md anew
	$(TERRAFORM_PYTHON) terraform/bin/tables

.PHONY: test-terraform
test-terraform: $(VENV) ## Test the Terraform configuration: its own tests, apply, overlays, isolation, checkov
	$(TERRAFORM_PYTHON) -m pytest -q $(PYTEST_PARALLEL) tests/terraform

.PHONY: terraform-thousand
terraform-thousand: $(VENV) ## Plan, apply and build a thousand customers with stub providers, and print the time and memory
	CUSTOMERS=1000 $(TERRAFORM_PYTHON) -m pytest -q tests/terraform/test_many_customers.py
