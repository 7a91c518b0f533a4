"""The cell index: which polygons of a coverage a point, or a line, lies in, at memory's speed."""
