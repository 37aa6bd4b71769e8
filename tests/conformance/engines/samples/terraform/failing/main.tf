variable "name" {
  type = string
}

resource "terraform_data" "site" {
  input = var.name
}

resource "terraform_data" "broken" {
  input = terraform_data.site.id

  provisioner "local-exec" {
    command = "echo no; exit 3"
  }
}
