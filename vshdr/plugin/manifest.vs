[VapourSynth Manifest V1]
libvshdr
