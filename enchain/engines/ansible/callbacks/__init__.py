"""Plugins that Ansible loads by their path; nothing of enchain imports them."""
