variable "name" {
  type = string
}

resource "terraform_data" "site" {
  input = var.name
}

output "name" {
  value = terraform_data.site.output
}

output "id" {
  value = terraform_data.site.id
}
