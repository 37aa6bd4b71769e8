# The pages of a site. No provider is needed but Terraform's own.

variable "name" {
  type        = string
  description = "Whom the site greets."
}

variable "greeting" {
  type        = string
  default     = "Hello"
  description = "The word it greets with."
}

variable "seconds" {
  type        = number
  default     = 0
  description = "How long to take over it, to have something to watch."
}

locals {
  pages = {
    "index.html" = "<h1>${var.greeting}, ${var.name}</h1>\n"
    "robots.txt" = "User-agent: *\nDisallow: /\n"
  }
}

# Stands for what a real module would create.
resource "terraform_data" "pages" {
  input = local.pages

  provisioner "local-exec" {
    command = "sleep \"$SECONDS_TO_TAKE\""
    environment = {
      SECONDS_TO_TAKE = var.seconds
    }
  }
}

output "files" {
  description = "The pages by file name."
  value       = terraform_data.pages.output
}
