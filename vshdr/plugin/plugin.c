/* core.hdr: registration, Expand and Version. */

#include <stdio.h>
#include <stdlib.h>

#include "vshdr.h"

/* A setting from Python, or 0 where it gave none. */
static int setting(struct vshdr_build *b, const char *key)
{
    int missing;
    return b->vsapi->mapGetIntSaturated(b->settings->groups[VSHDR_SETTING], key, 0, &missing);
}

/* Asks Python for an expander for the clip and for the settings of the nodes. Returns NULL, with a message,
 * for failure. */
static struct vshdr_expander *new_expander(struct vshdr_build *b, const VSMap *in, const VSVideoInfo *info,
                                           const VSFrame *first)
{
    struct vshdr_items items = {0};
    vshdr_describe_clip(&items, VSHDR_CLIP, info, b->core, b->vsapi);
    VSCoreInfo core;
    b->vsapi->getCoreInfo(b->core, &core);
    vshdr_add_int(&items, VSHDR_CLIP, "threads", core.numThreads);
    vshdr_add_map(&items, VSHDR_ARGUMENT, in, b->vsapi);
    vshdr_add_map(&items, VSHDR_PROPERTY, b->vsapi->getFramePropertiesRO(first), b->vsapi);
    int64_t id = vshdr_create_expander(items.items, items.count, b->settings, b->message, sizeof b->message);
    free(items.items);
    return id ? vshdr_expander_new(id) : NULL;
}

/* Chains clip -> describe -> core.resize -> keep -> batches -> unpack (-> smoothed) -> core.resize. Returns
 * the last node, or NULL with a message. */
static VSNode *chain(struct vshdr_build *b, VSNode *clip, const VSFrame *first,
                     struct vshdr_expander *expander)
{
    const VSAPI *vsapi = b->vsapi;
    VSMap **groups = b->settings->groups;
    int radius = setting(b, "radius");
    struct vshdr_batching batching = {
        .batch = setting(b, "batch"),
        .prefetch = setting(b, "prefetch"),
        .carriers = setting(b, "carriers"),
        .format = setting(b, "format"),
        .side_by_side = setting(b, "side_by_side") != 0,
    };

    VSNode *described =
        vshdr_made(b, vshdr_describe(clip, first, groups[VSHDR_SOURCE], expander, b->core, vsapi));
    VSNode *code = vshdr_resize(b, described, VSHDR_TO_SDR);
    VSNode *sdr = code ? vshdr_made(b, vshdr_keep(code, setting(b, "cache"), b->core, vsapi)) : NULL;
    VSNode *batches = NULL, *expanded = NULL;
    if (sdr)
        batches = vshdr_made(b, vshdr_batches(sdr, &batching, groups[VSHDR_EXPANDED], groups[VSHDR_REMOVED],
                                              expander, b->core, vsapi));
    if (batches)
        expanded = vshdr_made(b, vshdr_unpack(batches, sdr, &batching, b->core, vsapi));
    if (expanded && radius) {
        VSNode *gain = expanded;
        vsapi->setCacheMode(gain, cmForceDisable); /* the carriers, which are cached, hold the same frames */
        expanded =
            vshdr_made(b, vshdr_smoothed(gain, sdr, radius, setting(b, "reach"), expander, b->core, vsapi));
        vsapi->freeNode(gain);
    }
    vsapi->freeNode(code);
    vsapi->freeNode(sdr);
    vsapi->freeNode(batches);
    return vshdr_resize(b, expanded, VSHDR_DELIVERY);
}

static VSNode *expand_clip(struct vshdr_build *b, VSNode *clip, const VSMap *in)
{
    const VSAPI *vsapi = b->vsapi;
    const VSVideoInfo *info = vsapi->getVideoInfo(clip);
    if (info->format.colorFamily == cfUndefined || info->width == 0 || info->height == 0) {
        snprintf(b->message, sizeof b->message,
                 "only clips of constant format and resolution can be expanded; "
                 "bring all frames to one with core.resize first");
        return NULL;
    }
    if (!vshdr_attach(b->message, sizeof b->message))
        return NULL;
    /* The first frame's properties describe the clip, so nearly every error is found now, before any frame is
     * asked for. */
    char reason[VSHDR_MESSAGE / 2];
    const VSFrame *first = vsapi->getFrame(0, clip, reason, sizeof reason);
    if (!first) {
        snprintf(b->message, sizeof b->message, "the clip's first frame cannot be had (%s)", reason);
        return NULL;
    }
    VSNode *node = NULL;
    struct vshdr_expander *expander = new_expander(b, in, info, first);
    if (expander) {
        node = chain(b, clip, first, expander);
        vshdr_expander_release(expander);
    }
    vsapi->freeFrame(first);
    return node;
}

static void VS_CC expand(const VSMap *in, VSMap *out, void *user_data, VSCore *core, const VSAPI *vsapi)
{
    (void)user_data;
    struct vshdr_build b = vshdr_build_begin(core, vsapi);
    VSNode *clip = vsapi->mapGetNode(in, "clip", 0, NULL);
    vshdr_build_end(&b, "Expand", expand_clip(&b, clip, in), out);
    vsapi->freeNode(clip);
}

static void VS_CC version(const VSMap *in, VSMap *out, void *user_data, VSCore *core, const VSAPI *vsapi)
{
    (void)in;
    (void)user_data;
    VSCoreInfo info;
    vsapi->getCoreInfo(core, &info);
    char api[32];
    snprintf(api, sizeof api, "%d.%d", info.api >> 16, info.api & 0xffff);
    vsapi->mapSetData(out, "vshdr", VSHDR_VERSION, -1, dtUtf8, maReplace);
    vsapi->mapSetInt(out, "vapoursynth", info.core, maReplace);
    vsapi->mapSetData(out, "vapoursynth_api", api, -1, dtUtf8, maReplace);
    char message[VSHDR_MESSAGE];
    if (!vshdr_attach(message, sizeof message))
        return; /* without Python, or without the package, the versions so far are the answer */
    struct vshdr_settings *settings = vshdr_settings_new(vsapi);
    vshdr_about(settings);
    vsapi->copyMap(settings->groups[VSHDR_ABOUT], out);
    vshdr_settings_free(settings);
}

VS_EXTERNAL_API(void) VapourSynthPluginInit2(VSPlugin *plugin, const VSPLUGINAPI *vspapi)
{
    int major = 0, minor = 0;
    sscanf(VSHDR_VERSION, "%d.%d", &major, &minor);
    vspapi->configPlugin("org.vshdr.hdr", "hdr", "SDR to HDR without flicker", VS_MAKE_VERSION(major, minor),
                         VAPOURSYNTH_API_VERSION, 0, plugin);
    vspapi->registerFunction("Expand",
                             "clip:vnode;"
                             "gamma:float:opt;"
                             "model:data:opt;"
                             "weights:data:opt;"
                             "output:data:opt;"
                             "format:int:opt;"
                             "white:float:opt;"
                             "peak:float:opt;"
                             "strength:float:opt;"
                             "smooth:int:opt;"
                             "smooth_mode:data:opt;"
                             "dither:data:opt;"
                             "device:data:opt;"
                             "device_index:int:opt;"
                             "precision:data:opt;"
                             "fuse:int:opt;"
                             "batch:int:opt;"
                             "tile:int[]:opt;"
                             "overlap:int:opt;"
                             "prefetch:int:opt;"
                             "allow_hdr:int:opt;",
                             "clip:vnode;", expand, NULL, plugin);
    vspapi->registerFunction("Flicker", "clip:vnode;sdr:vnode;", "clip:vnode;", vshdr_flicker, NULL, plugin);
    vspapi->registerFunction(
        "Version", "", "vshdr:data;vapoursynth:int;vapoursynth_api:data;python:data:opt;torch:data:opt;",
        version, NULL, plugin);
}
