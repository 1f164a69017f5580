/* The filter that smooths the gain over time: frame n is made of the gain and SDR frames around it.
 *
 * Which frames are needed depends on n alone, so any order of requests gives the same frames. Python decides
 * which of them belong to the shot and how much each counts.
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

/* Frame numbers from first to last, both included. */
struct span {
    int first, last;
};

static struct span around(const struct smoothed *s, int n, int before, int behind)
{
    int last = s->info.numFrames - 1;
    return (struct span){n > before ? n - before : 0, behind < last - n ? n + behind : last};
}

/* The frames whose SDR is needed, to find the shot's limits. Whether a shot begins at a frame depends on one
 * frame more before it than after it. */
static struct span seen(const struct smoothed *s, int n)
{
    return around(s, n, s->reach, s->reach - 1);
}

/* The frames whose gain is averaged. */
static struct span averaged(const struct smoothed *s, int n)
{
    return around(s, n, s->radius, s->radius);
}

/* Frame n in linear light, or NULL with the error set. */
static VSFrame *smooth_one(const struct smoothed *s, int n, VSFrameContext *context, VSCore *core,
                           const VSAPI *vsapi)
{
    struct span all = seen(s, n), near = averaged(s, n);
    int count = all.last - all.first + 1;
    const VSFrame **sdr = vshdr_allocate((size_t)count * sizeof *sdr);
    const VSFrame **gain = vshdr_allocate((size_t)count * sizeof *gain);
    struct vshdr_neighbour *window = vshdr_allocate((size_t)count * sizeof *window);
    for (int i = 0; i < count; i++) {
        int number = all.first + i;
        sdr[i] = vsapi->getFrameFilter(number, s->sdr, context);
        if (near.first <= number && number <= near.last)
            gain[i] = vsapi->getFrameFilter(number, s->gain, context);
        window[i] = vshdr_neighbour_of(number, sdr[i], gain[i], vsapi);
    }
    const VSFrame *here = gain[n - all.first];
    VSFrame *linear = vsapi->newVideoFrame(&s->info.format, s->info.width, s->info.height, here, core);
    struct vshdr_plane target[3];
    vshdr_planes_to_fill(linear, target, vsapi);
    char reason[VSHDR_MESSAGE];
    if (!vshdr_smooth(vshdr_expander_id(s->expander), n, window, count, target, s->info.width, s->info.height,
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
    /* Frames are requested for several windows at once, but smoothed one window at a time: they share what
     * Python keeps. */
    return vsapi->createVideoFilter2("Expand (smooth)", &s->info, smoothed_frame, smoothed_free,
                                     fmParallelRequests, needs, 2, s, core);
}
