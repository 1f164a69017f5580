"""Container headers and bitstreams, byte by byte: where they say what about colour and light."""
