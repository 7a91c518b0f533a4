"""What polygons, lines and grids share: areas, lengths, and crosswalks that conserve totals."""
