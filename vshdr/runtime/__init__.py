"""The process and its resources: memory, CUDA, stages and their queues, files written whole, locks, dice."""
