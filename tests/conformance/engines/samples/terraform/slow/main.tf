variable "name" {
  type = string
}

resource "terraform_data" "site" {
  input = var.name

  provisioner "local-exec" {
    command = "sleep 1.2"
  }
}

output "id" {
  value = terraform_data.site.id
}
