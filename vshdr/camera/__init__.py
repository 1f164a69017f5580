"""The virtual camera: from linear HDR pictures to SDR as cameras, graders and codecs make it."""
