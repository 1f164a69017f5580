/* The filter that smooths the gain over time: frame n out of the gain frames and SDR frames around it.
 *
 * Which frames are needed depends on n alone, so any order of requests gives the same frames. What belongs to
 * the shot, and how much each neighbour counts, is decided in Python.
 */

#include <stdio.h>
#include <stdlib.h>

#include "vshdr.h"

struct smoothed {
    VSNode *gain;
    VSNode *sdr;
    struct vshdr_expander *expander;
    VSVideoInfo info;
    int radius;
    int reach;
};

/* Numbers from first to last, both included. */
struct span {
    int first, last;
};

static struct span around(const struct smoothed *s, int n, int before, int behind)
{
    int last = s->info.numFrames - 1;
    return (struct span){n > before ? n - before : 0, behind < last - n ? n + behind : last};
}

/* A boundary is decided by one frame more on its left than on its right. */
static struct span seen(const struct smoothed *s, int n)
{
    return around(s, n, s->reach, s->reach - 1);
}

static struct span averaged(const struct smoothed *s, int n)
{
    return around(s, n, s->radius, s->radius);
}

struct vshdr_moment vshdr_moment(int number, const VSFrame *sdr, const VSFrame *linear, const VSAPI *vsapi)
{
    int missing;
    int64_t change = vsapi->mapGetInt(vsapi->getFramePropertiesRO(sdr), "_SceneChangePrev", 0, &missing);
    struct vshdr_moment m = {.number = number, .scene_change = missing ? -1 : change != 0};
    for (int p = 0; p < 3; p++) {
        m.planes[p].sdr = vsapi->getReadPtr(sdr, p);
        m.planes[p].sdr_stride = vsapi->getStride(sdr, p);
        if (linear) {
            m.planes[p].linear = (void *)vsapi->getReadPtr(linear, p); /* only read */
            m.planes[p].linear_stride = vsapi->getStride(linear, p);
        }
    }
    return m;
}

/* The linear frame n, or NULL with the error set. */
static VSFrame *smooth_one(const struct smoothed *s, int n, VSFrameContext *context, VSCore *core,
                           const VSAPI *vsapi)
{
    struct span all = seen(s, n), near = averaged(s, n);
    int count = all.last - all.first + 1;
    const VSFrame **sdr = vshdr_allocate((size_t)count * sizeof *sdr);
    const VSFrame **gain = vshdr_allocate((size_t)count * sizeof *gain);
    struct vshdr_moment *window = vshdr_allocate((size_t)count * sizeof *window);
    for (int i = 0; i < count; i++) {
        int number = all.first + i;
        sdr[i] = vsapi->getFrameFilter(number, s->sdr, context);
        if (near.first <= number && number <= near.last)
            gain[i] = vsapi->getFrameFilter(number, s->gain, context);
        window[i] = vshdr_moment(number, sdr[i], gain[i], vsapi);
    }
    const VSFrame *here = gain[n - all.first];
    VSFrame *linear = vsapi->newVideoFrame(&s->info.format, s->info.width, s->info.height, here, core);
    struct vshdr_plane out[3] = {0};
    for (int p = 0; p < 3; p++) {
        out[p].linear = vsapi->getWritePtr(linear, p);
        out[p].linear_stride = vsapi->getStride(linear, p);
    }
    char reason[VSHDR_MESSAGE];
    if (!vshdr_smooth(vshdr_expander_id(s->expander), n, window, count, out, s->info.width, s->info.height,
                      reason, sizeof reason)) {
        char message[VSHDR_MESSAGE + 64];
        snprintf(message, sizeof message, "Expand: frame %d: %s", n, reason);
        vsapi->setFilterError(message, context);
        vsapi->freeFrame(linear);
        linear = NULL;
    }
    for (int i = 0; i < count; i++) {
        vsapi->freeFrame(sdr[i]);
        vsapi->freeFrame(gain[i]);
    }
    free(sdr);
    free(gain);
    free(window);
    return linear;
}

static const VSFrame *VS_CC smoothed_frame(int n, int reason, void *data, void **frame_data,
                                           VSFrameContext *context, VSCore *core, const VSAPI *vsapi)
{
    (void)frame_data;
    const struct smoothed *s = data;
    if (reason == arInitial) {
        struct span all = seen(s, n), near = averaged(s, n);
        for (int i = near.first; i <= near.last; i++)
            vsapi->requestFrameFilter(i, s->gain, context);
        for (int i = all.first; i <= all.last; i++)
            vsapi->requestFrameFilter(i, s->sdr, context);
    }
    return reason == arAllFramesReady ? smooth_one(s, n, context, core, vsapi) : NULL;
}

static void VS_CC smoothed_free(void *data, VSCore *core, const VSAPI *vsapi)
{
    (void)core;
    struct smoothed *s = data;
    vsapi->freeNode(s->gain);
    vsapi->freeNode(s->sdr);
    vshdr_expander_release(s->expander);
    free(s);
}

VSNode *vshdr_smoothed(VSNode *gain, VSNode *sdr, int radius, int reach, struct vshdr_expander *expander,
                       VSCore *core, const VSAPI *vsapi)
{
    struct smoothed *s = vshdr_allocate(sizeof *s);
    s->gain = vsapi->addNodeRef(gain);
    s->sdr = vsapi->addNodeRef(sdr);
    s->expander = vshdr_expander_share(expander);
    s->info = *vsapi->getVideoInfo(gain);
    s->radius = radius;
    s->reach = reach;
    VSFilterDependency needs[] = {{gain, rpGeneral}, {sdr, rpGeneral}};
    /* Windows are gathered side by side, but smoothed one after the other: they share what Python keeps. */
    return vsapi->createVideoFilter2("Expand (smooth)", &s->info, smoothed_frame, smoothed_free,
                                     fmParallelRequests, needs, 2, s, core);
}
