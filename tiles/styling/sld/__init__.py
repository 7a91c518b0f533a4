"""Styled Layer Descriptors (SLD 1.0 and 1.1): what they and MapLibre's styles can both say."""
