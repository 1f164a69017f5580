"""Reading: video, images and scripts as SDR frames; EXR and HDR as linear light; the HDR metadata of a file.

reader.py        open_source: any SDR clip; SdrConverter: its frames to RGB code values
linear_source.py open_linear: any clip, SDR or HDR, as linear light
source.py        Source and Frame: what all sources have in common
video_source.py  video files; decode.py, streams.py, first_frame.py, pixels.py, device_planes.py serve it
image_source.py  images and numbered sequences
script_source.py VapourSynth scripts
exr.py           one EXR picture
hdr_metadata.py  read_hdr_metadata: what container and bitstream say about an HDR video
"""
