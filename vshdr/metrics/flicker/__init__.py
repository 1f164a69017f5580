"""Flicker: how much the gain that an expansion adds changes along the motion of the picture.

frame_difference   what every metric here reads: the motion-compensated difference of two frames
motion             the motion: estimated, or known from a rendered scene
warped_error       flow-warped error: of the light (`warped`), of the gain (`excess`), beyond the truth's
exposure_jitter    jitter of the exposure, at three percentiles
pumping_boiling    pumping of regions and boiling of highlights where nothing moves
smoothness         ratio of fast temporal energy to the source's
spectrum           at which frequencies the gain swings
percent_flicker    percent flicker and flicker index of the lighting industry
equivariance       how far an expansion commutes with small movements of the picture
known_flow         the same kinds of measures on rendered clips, whose flow and truth are exact
optional_meters    what `vshdr flicker` measures only on request: equivariance of a model, ColorVideoVDP
metric_table       names, units and meanings of all numbers
meter, comparison  one clip's numbers frame by frame; `vshdr flicker`, of several clips
lockstep           reads clips of the same frames, one frame of each at a time
worst_frames       the frames that flicker most, with their pictures
"""
