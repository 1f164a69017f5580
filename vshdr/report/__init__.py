"""Reports for people: the page and tables of `vshdr flicker`, previews of frames."""
