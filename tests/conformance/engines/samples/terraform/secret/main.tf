variable "token" {
  type      = string
  sensitive = true
}

resource "terraform_data" "site" {
  input = sha256(var.token)

  provisioner "local-exec" {
    command     = "echo \"the token is $TOKEN\""
    environment = { TOKEN = var.token }
  }
}

output "token" {
  value     = var.token
  sensitive = true
}
