/* Frames as Python sees them: addresses and strides of their planes. */

#include "vshdr.h"

void vshdr_planes_to_read(const VSFrame *frame, struct vshdr_plane planes[3], const VSAPI *vsapi)
{
    for (int p = 0; p < 3; p++)
        planes[p] = (struct vshdr_plane){(void *)vsapi->getReadPtr(frame, p), vsapi->getStride(frame, p)};
}

void vshdr_planes_to_fill(VSFrame *frame, struct vshdr_plane planes[3], const VSAPI *vsapi)
{
    for (int p = 0; p < 3; p++)
        planes[p] = (struct vshdr_plane){vsapi->getWritePtr(frame, p), vsapi->getStride(frame, p)};
}

struct vshdr_neighbour vshdr_neighbour_of(int number, const VSFrame *sdr, const VSFrame *expanded,
                                          const VSAPI *vsapi)
{
    int missing;
    int64_t change = vsapi->mapGetInt(vsapi->getFramePropertiesRO(sdr), "_SceneChangePrev", 0, &missing);
    struct vshdr_neighbour neighbour = {.number = number, .scene_change = missing ? -1 : change != 0};
    vshdr_planes_to_read(sdr, neighbour.sdr, vsapi);
    if (expanded)
        vshdr_planes_to_read(expanded, neighbour.expanded, vsapi);
    return neighbour;
}
