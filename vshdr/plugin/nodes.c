/* The filters that Expand chains: clip -> describe -> (core.resize) -> keep -> batches -> unpack, and with
 * smoothing (smooth.c) -> smoothed.
 *
 * Batching needs no lock and no cache of our own. `batches` makes one carrier frame per batch, whose
 * properties hold the expanded frames, and `unpack` hands them out one by one. VapourSynth merges concurrent
 * requests for one carrier and caches it. So any order of requests gives the same frames, and reading in
 * order computes each batch once.
 */

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vshdr.h"

/* ---- The expander that nodes share ---- */

struct vshdr_expander {
    int64_t id;
    atomic_int references;
};

struct vshdr_expander *vshdr_expander_new(int64_t id)
{
    struct vshdr_expander *expander = vshdr_allocate(sizeof *expander);
    expander->id = id;
    atomic_init(&expander->references, 1);
    return expander;
}

struct vshdr_expander *vshdr_expander_share(struct vshdr_expander *expander)
{
    atomic_fetch_add(&expander->references, 1);
    return expander;
}

int64_t vshdr_expander_id(const struct vshdr_expander *expander)
{
    return expander->id;
}

void vshdr_expander_release(struct vshdr_expander *expander)
{
    if (atomic_fetch_sub(&expander->references, 1) == 1) {
        vshdr_destroy(expander->id);
        free(expander);
    }
}

/* ---- describe ---- */

/* One colour property of the first frame, as it came, before missing ones were filled in. */
struct observed {
    const char *key; /* owned by the map of properties */
    int64_t value;
    bool present;
};

struct describe {
    VSNode *clip;
    VSMap *properties;
    struct vshdr_expander *expander;
    int count;
    struct observed first[];
};

static struct observed observe(const VSMap *frame, const char *key, const VSAPI *vsapi)
{
    int error;
    int64_t value = vsapi->mapGetInt(frame, key, 0, &error);
    return (struct observed){.key = key, .value = value, .present = error == 0};
}

static bool described_as_first(const struct describe *d, const VSMap *frame, const VSAPI *vsapi)
{
    for (int i = 0; i < d->count; i++) {
        struct observed now = observe(frame, d->first[i].key, vsapi);
        if (now.present != d->first[i].present || now.value != d->first[i].value)
            return false;
    }
    return true;
}

/* Asks Python: other numbers may still mean the same, as a missing property and "unspecified" do. */
static bool means_the_same(const struct describe *d, const VSMap *frame, char *message, int size,
                           const VSAPI *vsapi)
{
    struct vshdr_items items = {0};
    vshdr_add_map(&items, VSHDR_PROPERTY, frame, vsapi);
    bool same = vshdr_check(d->expander->id, items.items, items.count, message, size);
    free(items.items);
    return same;
}

static const VSFrame *VS_CC describe_frame(int n, int reason, void *data, void **frame_data,
                                           VSFrameContext *context, VSCore *core, const VSAPI *vsapi)
{
    (void)frame_data;
    const struct describe *d = data;
    if (reason == arInitial) {
        vsapi->requestFrameFilter(n, d->clip, context);
        return NULL;
    }
    if (reason != arAllFramesReady)
        return NULL;

    const VSFrame *source = vsapi->getFrameFilter(n, d->clip, context);
    const VSMap *properties = vsapi->getFramePropertiesRO(source);
    char reasons[VSHDR_MESSAGE];
    if (!described_as_first(d, properties, vsapi)
        && !means_the_same(d, properties, reasons, sizeof reasons, vsapi)) {
        char message[VSHDR_MESSAGE + 64];
        snprintf(message, sizeof message, "Expand: frame %d: %s", n, reasons);
        vsapi->setFilterError(message, context);
        vsapi->freeFrame(source);
        return NULL;
    }
    VSFrame *described = vsapi->copyFrame(source, core);
    vsapi->freeFrame(source);
    vsapi->copyMap(d->properties, vsapi->getFramePropertiesRW(described));
    return described;
}

static void VS_CC describe_free(void *data, VSCore *core, const VSAPI *vsapi)
{
    (void)core;
    struct describe *d = data;
    vsapi->freeNode(d->clip);
    vsapi->freeMap(d->properties);
    vshdr_expander_release(d->expander);
    free(d);
}

VSNode *vshdr_describe(VSNode *clip, const VSFrame *first, const VSMap *properties,
                       struct vshdr_expander *expander, VSCore *core, const VSAPI *vsapi)
{
    int count = vsapi->mapNumKeys(properties);
    struct describe *d = vshdr_allocate(sizeof *d + (size_t)count * sizeof *d->first);
    d->clip = vsapi->addNodeRef(clip);
    d->properties = vsapi->createMap();
    vsapi->copyMap(properties, d->properties);
    d->expander = vshdr_expander_share(expander);
    d->count = count;
    for (int i = 0; i < count; i++)
        d->first[i] = observe(vsapi->getFramePropertiesRO(first), vsapi->mapGetKey(d->properties, i), vsapi);
    VSFilterDependency needs[] = {{clip, rpStrictSpatial}};
    return vsapi->createVideoFilter2("Expand (describe)", vsapi->getVideoInfo(clip), describe_frame,
                                     describe_free, fmParallel, needs, 1, d, core);
}

/* ---- keep ---- */

static const VSFrame *VS_CC keep_frame(int n, int reason, void *data, void **frame_data,
                                       VSFrameContext *context, VSCore *core, const VSAPI *vsapi)
{
    (void)frame_data;
    (void)core;
    if (reason == arInitial)
        vsapi->requestFrameFilter(n, data, context);
    return reason == arAllFramesReady ? vsapi->getFrameFilter(n, data, context) : NULL;
}

static void VS_CC keep_free(void *data, VSCore *core, const VSAPI *vsapi)
{
    (void)core;
    vsapi->freeNode(data);
}

VSNode *vshdr_keep(VSNode *clip, int frames, VSCore *core, const VSAPI *vsapi)
{
    VSFilterDependency needs[] = {{clip, rpStrictSpatial}};
    VSNode *node = vsapi->createVideoFilter2("Expand (decode ahead)", vsapi->getVideoInfo(clip), keep_frame,
                                             keep_free, fmParallel, needs, 1, vsapi->addNodeRef(clip), core);
    if (node) {
        vsapi->setCacheMode(node, cmForceEnable);
        vsapi->setCacheOptions(node, 1, frames, 0);
    }
    return node;
}

/* ---- batches ---- */

#define CARRIED "_vshdr_frames"

struct batches {
    VSNode *sdr;
    VSMap *expanded;
    VSMap *removed;
    struct vshdr_expander *expander;
    VSVideoInfo frames;
    VSVideoFormat carrier;
    int batch;
};

/* A frame to be filled by infer, with the properties of its source that still hold. */
static VSFrame *new_expanded(const struct batches *b, const VSFrame *sdr, VSCore *core, const VSAPI *vsapi)
{
    VSFrame *frame = vsapi->newVideoFrame(&b->frames.format, b->frames.width, b->frames.height, sdr, core);
    VSMap *properties = vsapi->getFramePropertiesRW(frame);
    for (int i = 0; i < vsapi->mapNumKeys(b->removed); i++)
        vsapi->mapDeleteKey(properties, vsapi->mapGetKey(b->removed, i));
    vsapi->copyMap(b->expanded, properties);
    return frame;
}

/* A carrier with the expanded frames first..first + count - 1, or NULL with the error set. */
static VSFrame *expand_batch(const struct batches *b, int first, int count, VSFrameContext *context,
                             VSCore *core, const VSAPI *vsapi)
{
    VSFrame *carrier = vsapi->newVideoFrame(&b->carrier, 1, 1, NULL, core);
    VSMap *carried = vsapi->getFramePropertiesRW(carrier);
    const VSFrame **sdr = vshdr_allocate((size_t)count * sizeof *sdr);
    struct vshdr_plane *source = vshdr_allocate((size_t)count * 3 * sizeof *source);
    struct vshdr_plane *target = vshdr_allocate((size_t)count * 3 * sizeof *target);
    for (int i = 0; i < count; i++) {
        sdr[i] = vsapi->getFrameFilter(first + i, b->sdr, context);
        VSFrame *expanded = new_expanded(b, sdr[i], core, vsapi);
        vshdr_planes_to_read(sdr[i], source + 3 * i, vsapi);
        vshdr_planes_to_fill(expanded, target + 3 * i, vsapi);
        /* Nobody else sees the carrier before it is returned, so the planes may still be written to. */
        vsapi->mapConsumeFrame(carried, CARRIED, expanded, maAppend);
    }

    char reason[VSHDR_MESSAGE];
    if (!vshdr_infer(b->expander->id, source, target, count, b->frames.width, b->frames.height, reason,
                     sizeof reason)) {
        char message[VSHDR_MESSAGE + 64];
        if (count == 1)
            snprintf(message, sizeof message, "Expand: frame %d: %s", first, reason);
        else
            snprintf(message, sizeof message, "Expand: frames %d-%d: %s", first, first + count - 1, reason);
        vsapi->setFilterError(message, context);
        vsapi->freeFrame(carrier);
        carrier = NULL;
    }
    for (int i = 0; i < count; i++)
        vsapi->freeFrame(sdr[i]);
    free(sdr);
    free(source);
    free(target);
    return carrier;
}

static const VSFrame *VS_CC batches_frame(int n, int reason, void *data, void **frame_data,
                                          VSFrameContext *context, VSCore *core, const VSAPI *vsapi)
{
    (void)frame_data;
    const struct batches *b = data;
    int first = n * b->batch;
    int left = b->frames.numFrames - first;
    int count = left < b->batch ? left : b->batch;
    if (reason == arInitial)
        for (int i = 0; i < count; i++)
            vsapi->requestFrameFilter(first + i, b->sdr, context);
    return reason == arAllFramesReady ? expand_batch(b, first, count, context, core, vsapi) : NULL;
}

static void VS_CC batches_free(void *data, VSCore *core, const VSAPI *vsapi)
{
    (void)core;
    struct batches *b = data;
    vsapi->freeNode(b->sdr);
    vsapi->freeMap(b->expanded);
    vsapi->freeMap(b->removed);
    vshdr_expander_release(b->expander);
    free(b);
}

/* The clip's size, length and rate, with the format of expanded frames. */
static VSVideoInfo expanded_info(VSNode *sdr, const struct vshdr_batching *batching, VSCore *core,
                                 const VSAPI *vsapi)
{
    VSVideoInfo info = *vsapi->getVideoInfo(sdr);
    vsapi->getVideoFormatByID(&info.format, (uint32_t)batching->format, core);
    return info;
}

VSNode *vshdr_batches(VSNode *sdr, const struct vshdr_batching *batching, const VSMap *expanded,
                      const VSMap *removed, struct vshdr_expander *expander, VSCore *core, const VSAPI *vsapi)
{
    struct batches *b = vshdr_allocate(sizeof *b);
    b->sdr = vsapi->addNodeRef(sdr);
    b->expanded = vsapi->createMap();
    vsapi->copyMap(expanded, b->expanded);
    b->removed = vsapi->createMap();
    vsapi->copyMap(removed, b->removed);
    b->expander = vshdr_expander_share(expander);
    b->frames = expanded_info(sdr, batching, core, vsapi);
    b->batch = batching->batch;
    vsapi->getVideoFormatByID(&b->carrier, pfGray8, core);

    VSVideoInfo carriers = {.format = b->carrier, .width = 1, .height = 1};
    carriers.numFrames = b->frames.numFrames / b->batch + (b->frames.numFrames % b->batch != 0);
    VSFilterDependency needs[] = {{sdr, rpGeneral}};
    /* Frames are requested for several batches at once, but on a CPU only one batch at a time is expanded. */
    int mode = batching->side_by_side ? fmParallel : fmParallelRequests;
    VSNode *node = vsapi->createVideoFilter2("Expand (batches)", &carriers, batches_frame, batches_free, mode,
                                             needs, 1, b, core);
    if (node) {
        vsapi->setCacheMode(node, cmForceEnable);
        vsapi->setCacheOptions(node, 1, batching->carriers, 0);
    }
    return node;
}

/* ---- unpack ---- */

struct unpack {
    VSNode *batches;
    VSNode *sdr;
    int batch;
    int prefetch;
    int frames;
};

static void request_ahead(const struct unpack *u, int n, VSFrameContext *context, const VSAPI *vsapi)
{
    /* Ask with the second frame of a batch, when the first is already being made. Asked for with the first,
     * the next frames would compete with the batch that is waited for. */
    int turn = u->batch > 1;
    if (n % u->batch != turn)
        return;
    int64_t from = (int64_t)n - turn + u->batch;
    int64_t until = from + (int64_t)u->prefetch * u->batch;
    for (int64_t i = from; i < until && i < u->frames; i++)
        vsapi->requestFrameFilter((int)i, u->sdr, context);
}

static const VSFrame *VS_CC unpack_frame(int n, int reason, void *data, void **frame_data,
                                         VSFrameContext *context, VSCore *core, const VSAPI *vsapi)
{
    (void)frame_data;
    (void)core;
    const struct unpack *u = data;
    if (reason == arInitial) {
        vsapi->requestFrameFilter(n / u->batch, u->batches, context);
        request_ahead(u, n, context, vsapi);
        return NULL;
    }
    if (reason != arAllFramesReady)
        return NULL;
    const VSFrame *carrier = vsapi->getFrameFilter(n / u->batch, u->batches, context);
    const VSFrame *expanded =
        vsapi->mapGetFrame(vsapi->getFramePropertiesRO(carrier), CARRIED, n % u->batch, NULL);
    vsapi->freeFrame(carrier);
    return expanded;
}

static void VS_CC unpack_free(void *data, VSCore *core, const VSAPI *vsapi)
{
    (void)core;
    struct unpack *u = data;
    vsapi->freeNode(u->batches);
    vsapi->freeNode(u->sdr);
    free(u);
}

VSNode *vshdr_unpack(VSNode *batches, VSNode *sdr, const struct vshdr_batching *batching, VSCore *core,
                     const VSAPI *vsapi)
{
    struct unpack *u = vshdr_allocate(sizeof *u);
    u->batches = vsapi->addNodeRef(batches);
    u->sdr = vsapi->addNodeRef(sdr);
    u->batch = batching->batch;
    u->prefetch = batching->prefetch;
    VSVideoInfo info = expanded_info(sdr, batching, core, vsapi);
    u->frames = info.numFrames;
    VSFilterDependency needs[] = {{batches, rpGeneral}, {sdr, rpGeneral}};
    return vsapi->createVideoFilter2("Expand", &info, unpack_frame, unpack_free, fmParallel, needs, 2, u,
                                     core);
}
