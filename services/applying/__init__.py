"""``shikong apply city.yaml``: layers and sources as a file describes them."""
