variable "name" {
  type = string
}

resource "terraform_data" "site" {
  input = var.name

  provisioner "local-exec" {
    command = "sleep 0.8"
  }
}

output "id" {
  value = terraform_data.site.id
}
