"""A file in, HDR out. Not named `convert`, which is the function that the package offers."""
