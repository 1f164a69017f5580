"""Files in and out: reading, writing, containers, and what code values mean.

read/                 sources of SDR frames and of linear light; HDR metadata of a file
write/                HDR video and EXR sequences
containers/           headers and bitstreams, byte by byte
signal.py             Signal: what an input's code values mean
delivery.py           Delivery: the form in which light leaves
metadata.py           MasteringDisplay and ContentLight: HDR10's static metadata
content_light.py      ContentLightMeter: measures MaxCLL and MaxFALL
video_codecs.py             the video encoders that vshdr offers
encoder_arguments.py  how each encoder, and ffmpeg, wants to be told colours and metadata
numbered_name.py           names of numbered files
zimg.py               Resizer: `core.resize` as a function of planes
"""
