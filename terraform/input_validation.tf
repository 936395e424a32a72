# Terraform silently ignores unknown fields of an object, so a misspelled field would lose the
# retention or the alert that it was meant to set. These locals compare the fields in the files with
# the fields that Terraform accepted.
locals {
  tfvars = [
    for file in setunion(fileset(path.root, "*.auto.tfvars"), fileset(path.root, "terraform.tfvars")) :
    provider::terraform::decode_tfvars(file("${path.root}/${file}"))
  ]
  tfvars_json = [
    for file in setunion(fileset(path.root, "*.auto.tfvars.json"), fileset(path.root, "terraform.tfvars.json")) :
    jsondecode(file("${path.root}/${file}"))
  ]
  unknown_fields = sort(flatten([
    for written in concat(local.tfvars, local.tfvars_json) : [
      for name, customer in try(written.customers, {}) : concat(
        [for field in setsubtract(keys(customer), keys(var.customers[name])) : "${name}.${field}"],
        [for field in setsubtract(keys(try(customer.sizes, {})), keys(var.customers[name].sizes)) : "${name}.sizes.${field}"],
      ) if contains(keys(var.customers), name)
    ]
  ]))
}
