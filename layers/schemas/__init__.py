"""Schemas: documents, code lists, patterns and profiles; and the inferring of one from a source."""
