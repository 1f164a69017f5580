"""Reading: SDR frames from video, images and scripts; linear light from anything."""
