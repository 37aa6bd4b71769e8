# A thing made by Terraform. The tool beneath writes in the witness what it does.

variable "world" {
  type = string
}

variable "work" {
  type = string
}

variable "round" {
  type = string
}

variable "seconds" {
  type = number
}

# `partial`: it fails once the thing is made.
variable "fail" {
  type    = string
  default = ""
}

resource "terraform_data" "thing" {
  triggers_replace = [var.round]
  input = {
    world   = var.world
    work    = var.work
    round   = var.round
    effects = abspath("${path.module}/effects.py")
  }

  provisioner "local-exec" {
    command = "exec python3 \"$EFFECTS\" \"$WORLD\" \"$WORK\" apply \"$ROUND\" \"$TAKES\""
    environment = {
      EFFECTS = self.input.effects
      WORLD   = self.input.world
      WORK    = self.input.work
      ROUND   = self.input.round
      TAKES   = var.seconds
    }
  }

  provisioner "local-exec" {
    when    = destroy
    command = "exec python3 \"$EFFECTS\" \"$WORLD\" \"$WORK\" destroy \"$ROUND\" 0"
    environment = {
      EFFECTS = self.input.effects
      WORLD   = self.input.world
      WORK    = self.input.work
      ROUND   = self.input.round
    }
  }
}

resource "terraform_data" "failing" {
  count      = var.fail == "partial" ? 1 : 0
  depends_on = [terraform_data.thing]

  provisioner "local-exec" {
    command = "exit 1"
  }
}

output "round" {
  value = terraform_data.thing.output.round
}
