/* What the functions of core.hdr share while they build their chains of nodes. */

#include <stdio.h>

#include "vshdr.h"

struct vshdr_build vshdr_build_begin(VSCore *core, const VSAPI *vsapi)
{
    return (struct vshdr_build){.core = core, .vsapi = vsapi, .settings = vshdr_settings_new(vsapi)};
}

void vshdr_build_end(struct vshdr_build *b, const char *function, VSNode *node, VSMap *out)
{
    if (node) {
        b->vsapi->mapConsumeNode(out, "clip", node, maReplace);
    } else {
        char message[VSHDR_MESSAGE + 16];
        snprintf(message, sizeof message, "%s: %s", function, b->message);
        b->vsapi->mapSetError(out, message);
    }
    vshdr_settings_free(b->settings);
}

VSNode *vshdr_made(struct vshdr_build *b, VSNode *node)
{
    if (!node)
        snprintf(b->message, sizeof b->message, "VapourSynth could not make a filter");
    return node;
}

VSNode *vshdr_invoke(struct vshdr_build *b, VSNode *node, const char *plugin, const char *function,
                     enum vshdr_group group)
{
    const VSAPI *vsapi = b->vsapi;
    VSMap *arguments = b->settings->groups[group];
    if (!node || vsapi->mapNumKeys(arguments) == 0)
        return node;
    vsapi->mapConsumeNode(arguments, "clip", node, maReplace);
    VSMap *result = vsapi->invoke(vsapi->getPluginByID(plugin, b->core), function, arguments);
    const char *error = vsapi->mapGetError(result);
    VSNode *invoked = error ? NULL : vsapi->mapGetNode(result, "clip", 0, NULL);
    if (error)
        snprintf(b->message, sizeof b->message, "%s", error);
    vsapi->freeMap(result);
    return invoked;
}

VSNode *vshdr_resize(struct vshdr_build *b, VSNode *node, enum vshdr_group group)
{
    return vshdr_invoke(b, node, "com.vapoursynth.resize", "Bilinear", group);
}

void vshdr_describe_clip(struct vshdr_items *items, int group, const VSVideoInfo *info, VSCore *core,
                         const VSAPI *vsapi)
{
    const VSVideoFormat *f = &info->format;
    vshdr_add_int(items, group, "format",
                  vsapi->queryVideoFormatID(f->colorFamily, f->sampleType, f->bitsPerSample, f->subSamplingW,
                                            f->subSamplingH, core));
    vshdr_add_int(items, group, "colour_family", f->colorFamily);
    vshdr_add_int(items, group, "width", info->width);
    vshdr_add_int(items, group, "height", info->height);
    vshdr_add_int(items, group, "frames", info->numFrames);
}
