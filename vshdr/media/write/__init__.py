"""Writing: HDR video and EXR sequences, and the check that what was written is what was meant.

video.py               VideoWriter: one video file from its first frame to its final name
encoders.py            VideoSettings, and the encoder that they open
muxer.py               the container and its video stream
passthrough.py         audio, subtitles, attachments, chapters; tags.py says which tags stay true
content_light_patch.py the measured MaxCLL and MaxFALL, put into the finished file
verify.py              the check of the finished file
exr.py                 ExrWriter: numbered EXR frames
"""
