"""What is read from and kept in plain files: sources, artifacts, score columns."""
