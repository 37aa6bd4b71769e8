"""The table as a router follows it: read, checked, swapped; who is there; and what it says of itself."""
