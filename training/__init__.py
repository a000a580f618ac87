"""Renders the sample world, trains the small models that ship with the project, exports them."""
