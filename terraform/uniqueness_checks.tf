# Values that must be unique to each customer. Each map below goes from a value to the names of the
# customers that use it, named as modules/customer names them. outputs.tf rejects values used twice.

locals {
  hosts = { for name, customer in var.customers : name => coalesce(customer.host, "${name}.${var.ingress_domain}") }

  by_host      = transpose({ for name, host in local.hosts : name => [host] })
  by_namespace = transpose({ for name, customer in var.customers : name => [coalesce(customer.namespace, "gcs-uploader-${name}")] })
  by_bucket    = transpose({ for name, customer in var.customers : name => compact([customer.bucket_name]) })
  by_service_account = transpose({
    for name, customer in var.customers :
    name => [coalesce(customer.service_account_id, trimsuffix(substr("${var.name_prefix}-${name}", 0, 30), "-"))]
    if customer.identity == "key" || customer.impersonation
  })

  shared_hosts            = [for host, names in local.by_host : "${join(" and ", names)} (${host})" if length(names) > 1]
  shared_namespaces       = [for namespace, names in local.by_namespace : "${join(" and ", names)} (${namespace})" if length(names) > 1]
  shared_buckets          = [for bucket, names in local.by_bucket : "${join(" and ", names)} (${bucket})" if length(names) > 1]
  shared_service_accounts = [for id, names in local.by_service_account : "${join(" and ", names)} (${id})" if length(names) > 1]
}
