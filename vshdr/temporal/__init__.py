"""Time: shots (`shots`) and smoothing of the gain within them (`smoothing`).

Every result for a frame depends on a fixed window of SDR frames around it and on nothing else, so frames may be asked
for in any order.
"""
