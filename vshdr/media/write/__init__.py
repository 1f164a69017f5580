"""Writing: HDR video and EXR sequences, complete and checked or not at all."""
