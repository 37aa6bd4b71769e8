# A site that takes its time, and leaves a line in a file outside enchain for every time it was made.

variable "name" {
  type = string
}

variable "witness" {
  type = string
}

variable "seconds" {
  type = number
}

resource "terraform_data" "pages" {
  input = { "index.html" = "<h1>Slowly, ${var.name}</h1>\n" }

  provisioner "local-exec" {
    command = "echo made >> \"$WITNESS\" && sleep \"$SECONDS_TO_TAKE\""
    environment = {
      WITNESS         = var.witness
      SECONDS_TO_TAKE = var.seconds
    }
  }
}

output "files" {
  value = terraform_data.pages.output
}
