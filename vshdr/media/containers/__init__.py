"""Container headers and bitstreams, byte by byte: where a file says what about colour, light and its own size.

detect.py        read_header: the header of a video file, whatever its container
header.py        VideoHeader: what a header says
matroska.py      Matroska and WebM: reading headers, and making those that FFmpeg's muxers need
ebml.py          the elements that Matroska is made of
mp4.py           MP4 and QuickTime
bitstream.py     content light levels inside HEVC and AV1
completeness.py  how long a file should be by its container
spans.py         ranges of bytes in a file, read and overwritten
"""
