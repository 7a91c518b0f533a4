"""Who may pass: credentials, sign-in, limits, headers."""
