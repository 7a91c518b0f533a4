"""How layers are drawn: default styles, the checking of styles, legends, symbols and SLD."""
