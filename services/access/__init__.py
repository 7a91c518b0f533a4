"""Who may pass: credentials, sign-in, rules, limits, headers."""
