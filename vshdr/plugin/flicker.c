/* core.hdr.Flicker: the clip unchanged, with frame properties that say how each frame differs from the one
 * before it.
 *
 *     clip -> SetFrameProps -> core.resize to linear light --.
 *     sdr  -> SetFrameProps -> core.resize to RGBS ----------+-> measured
 *     clip --------------------------------------------------'
 *
 * Frame n needs frames n - 1 and n and nothing else, so any order of requests gives the same results.
 */

#include <stdio.h>
#include <stdlib.h>

#include "vshdr.h"

struct measured {
    VSNode *clip;
    VSNode *linear;
    VSNode *sdr;
    int64_t meter;
};

/* ---- frames ---- */

static void request(const struct measured *m, int n, VSFrameContext *context, const VSAPI *vsapi)
{
    vsapi->requestFrameFilter(n, m->clip, context);
    for (int i = n > 0 ? n - 1 : 0; i <= n; i++) {
        vsapi->requestFrameFilter(i, m->linear, context);
        vsapi->requestFrameFilter(i, m->sdr, context);
    }
}

/* Frame n of the clip with its measurements, or NULL with the error set. */
static VSFrame *measure_one(const struct measured *m, int n, VSFrameContext *context, VSCore *core,
                            const VSAPI *vsapi)
{
    int first = n > 0 ? n - 1 : 0, count = n - first + 1;
    const VSFrame *linear[2], *sdr[2];
    struct vshdr_neighbour window[2];
    for (int i = 0; i < count; i++) {
        linear[i] = vsapi->getFrameFilter(first + i, m->linear, context);
        sdr[i] = vsapi->getFrameFilter(first + i, m->sdr, context);
        window[i] = vshdr_neighbour_of(first + i, sdr[i], linear[i], vsapi);
    }
    const VSVideoInfo *info = vsapi->getVideoInfo(m->clip);
    struct vshdr_settings *results = vshdr_settings_new(vsapi);
    char reason[VSHDR_MESSAGE];
    VSFrame *frame = NULL;
    if (vshdr_measure(m->meter, window, count, info->width, info->height, results, reason, sizeof reason)) {
        const VSFrame *source = vsapi->getFrameFilter(n, m->clip, context);
        frame = vsapi->copyFrame(source, core);
        vsapi->freeFrame(source);
        vsapi->copyMap(results->groups[VSHDR_MEASURED], vsapi->getFramePropertiesRW(frame));
    } else {
        char message[VSHDR_MESSAGE + 64];
        snprintf(message, sizeof message, "Flicker: frame %d: %s", n, reason);
        vsapi->setFilterError(message, context);
    }
    vshdr_settings_free(results);
    for (int i = 0; i < count; i++) {
        vsapi->freeFrame(linear[i]);
        vsapi->freeFrame(sdr[i]);
    }
    return frame;
}

static const VSFrame *VS_CC measured_frame(int n, int reason, void *data, void **frame_data,
                                           VSFrameContext *context, VSCore *core, const VSAPI *vsapi)
{
    (void)frame_data;
    if (reason == arInitial)
        request(data, n, context, vsapi);
    return reason == arAllFramesReady ? measure_one(data, n, context, core, vsapi) : NULL;
}

static void VS_CC measured_free(void *data, VSCore *core, const VSAPI *vsapi)
{
    (void)core;
    struct measured *m = data;
    vsapi->freeNode(m->clip);
    vsapi->freeNode(m->linear);
    vsapi->freeNode(m->sdr);
    vshdr_destroy(m->meter);
    free(m);
}

/* ---- creation ---- */

/* Adds what a clip and its first frame say to the items. Returns that frame, which must outlive the items,
 * because they point into its properties; or NULL with a message. */
static const VSFrame *look_at(struct vshdr_build *b, VSNode *clip, const char *name,
                              struct vshdr_items *items, int clip_group, int property_group)
{
    const VSVideoInfo *info = b->vsapi->getVideoInfo(clip);
    if (info->format.colorFamily == cfUndefined || info->width == 0 || info->height == 0) {
        snprintf(b->message, sizeof b->message,
                 "%s changes its format or resolution; bring all frames to one", name);
        return NULL;
    }
    char reason[VSHDR_MESSAGE / 2];
    const VSFrame *first = b->vsapi->getFrame(0, clip, reason, sizeof reason);
    if (!first) {
        snprintf(b->message, sizeof b->message, "the first frame of %s cannot be had (%s)", name, reason);
        return NULL;
    }
    vshdr_describe_clip(items, clip_group, info, b->core, b->vsapi);
    vshdr_add_map(items, property_group, b->vsapi->getFramePropertiesRO(first), b->vsapi);
    return first;
}

/* Asks Python for a meter for both clips and for the settings of the nodes. Returns its id, or 0 with a
 * message. */
static int64_t create_meter(struct vshdr_build *b, VSNode *clip, VSNode *sdr)
{
    struct vshdr_items items = {0};
    int64_t meter = 0;
    const VSFrame *hdr_first = look_at(b, clip, "clip", &items, VSHDR_HDR_CLIP, VSHDR_HDR_PROPERTY);
    const VSFrame *sdr_first = hdr_first ? look_at(b, sdr, "sdr", &items, VSHDR_CLIP, VSHDR_PROPERTY) : NULL;
    if (sdr_first)
        meter = vshdr_create_meter(items.items, items.count, b->settings, b->message, sizeof b->message);
    free(items.items);
    b->vsapi->freeFrame(hdr_first);
    b->vsapi->freeFrame(sdr_first);
    return meter;
}

/* The clip after its colour description is completed and core.resize has converted it. */
static VSNode *converted(struct vshdr_build *b, VSNode *clip, enum vshdr_group source,
                         enum vshdr_group arguments)
{
    VSNode *described =
        vshdr_invoke(b, b->vsapi->addNodeRef(clip), "com.vapoursynth.std", "SetFrameProps", source);
    return vshdr_resize(b, described, arguments);
}

static VSNode *measured(struct vshdr_build *b, VSNode *clip, VSNode *sdr)
{
    if (!vshdr_attach(b->message, sizeof b->message))
        return NULL;
    int64_t meter = create_meter(b, clip, sdr);
    if (!meter)
        return NULL;
    const VSAPI *vsapi = b->vsapi;
    struct measured *m = vshdr_allocate(sizeof *m);
    m->meter = meter;
    m->clip = vsapi->addNodeRef(clip);
    m->linear = converted(b, clip, VSHDR_HDR_SOURCE, VSHDR_TO_LINEAR);
    m->sdr = m->linear ? converted(b, sdr, VSHDR_SOURCE, VSHDR_TO_SDR) : NULL;
    if (!m->sdr) {
        measured_free(m, b->core, vsapi);
        return NULL;
    }
    VSFilterDependency needs[] = {{m->clip, rpStrictSpatial}, {m->linear, rpGeneral}, {m->sdr, rpGeneral}};
    /* Frames are requested for several windows at once, but measured one window at a time. */
    return vshdr_made(b, vsapi->createVideoFilter2("Flicker", vsapi->getVideoInfo(clip), measured_frame,
                                                   measured_free, fmParallelRequests, needs, 3, m, b->core));
}

void VS_CC vshdr_flicker(const VSMap *in, VSMap *out, void *user_data, VSCore *core, const VSAPI *vsapi)
{
    (void)user_data;
    struct vshdr_build b = vshdr_build_begin(core, vsapi);
    VSNode *clip = vsapi->mapGetNode(in, "clip", 0, NULL);
    VSNode *sdr = vsapi->mapGetNode(in, "sdr", 0, NULL);
    vshdr_build_end(&b, "Flicker", measured(&b, clip, sdr), out);
    vsapi->freeNode(clip);
    vsapi->freeNode(sdr);
}
