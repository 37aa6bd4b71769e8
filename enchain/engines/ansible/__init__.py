"""The ansible engine: does steps with Ansible playbooks. See the README beside this file."""
