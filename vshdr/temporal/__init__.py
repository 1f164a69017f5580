"""Time: shots, motion, and smoothing of the gain within shots.

signature, transitions, shots   a frame's few numbers; cut, fade or flash between two; the shots of a clip
flow, warp                      optical flow; pictures moved along it, and the grids of their pixels
windows                         each frame with those around it, from a stream
gain_frames, smoothing          a frame with its gain; the mean of gains along the motion
percentile                      ExpandNet's smoother, for comparison

Every result for a frame depends on a fixed window of SDR frames around it and on nothing else, so frames may be asked
for in any order.
"""
