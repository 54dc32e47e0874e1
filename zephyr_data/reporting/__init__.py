"""What people see of a dataset."""
