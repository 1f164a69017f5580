"""The virtual camera: makes SDR from linear HDR pictures as cameras, graders and codecs do."""
