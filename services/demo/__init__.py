"""The demo city: what cannot be shipped as files is made here."""
