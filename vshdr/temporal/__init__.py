"""What is known over time: shots (`shots`) and smoothing of the gain within them (`smoothing`).

Everything said of a frame depends on a fixed window of SDR frames around it and on nothing else, so that any order of
asking gives the same answers.
"""
