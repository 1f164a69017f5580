"""Files in and out: reading, writing, containers, and what their code values mean."""
