"""Placeholder: becomes the report."""
